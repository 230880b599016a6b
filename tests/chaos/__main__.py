"""Chaos: real processes under load, killed at random; then each message is held against what really happened.

    python -m tests.chaos --seeds 10          ten runs, for the night: more
    python -m tests.chaos --seed 7            one, again

Exit code 1 if anything was lost, called twice, told wrongly or twice, or left behind in Redis.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.chaos.run import Plan, run


def main() -> int:
    """Runs the seeds one after another; the exit code."""
    ask = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.split("\n")[0])
    which = ask.add_mutually_exclusive_group()
    which.add_argument("--seed", type=int, help="this one alone [default: 1]")
    which.add_argument("--seeds", type=int, metavar="N", help="the seeds 1 to N")
    ask.add_argument("--messages", type=int, default=2400, help="of each run [default: 2400]")
    ask.add_argument("--rate", type=float, default=120.0, help="messages a second [default: 120]")
    ask.add_argument("--kills", type=int, default=15, help="spread over the load [default: 15]")
    ask.add_argument("--no-faults", action="store_true", help="let the provider be as its document says")
    asked = ask.parse_args()
    seeds = range(1, asked.seeds + 1) if asked.seeds else [1 if asked.seed is None else asked.seed]
    bad = []
    for seed in seeds:
        plan = Plan(seed, asked.messages, asked.rate, asked.kills, faults=not asked.no_faults)
        report = asyncio.run(run(plan, lambda line: print(line, flush=True)))
        print(report.text(), flush=True)
        if not report.good:
            bad.append(seed)
    print(f"{len(seeds)} runs, {len(bad)} violated{': seeds ' + ', '.join(map(str, bad)) if bad else ''}")
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
