"""`python -m tests.schema --cases 2000`: so many cases and more against a real API, all held to its document."""

from __future__ import annotations

import argparse
import sys
import time

from tests.schema.cases import run_cases

_PER_RUN = 40


def main() -> int:
    """Runs with one seed after the other until there were enough; 1 if anything was not as documented."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    generated, seed, began = 0, asked.seed, time.monotonic()
    while generated < asked.cases:
        ran = run_cases(_PER_RUN, seed)
        generated += ran.generated
        print(f"seed {seed}: {ran.generated} cases, {ran.failures} failures, {ran.errors} errors", flush=True)
        if ran.exit_code or ran.unfinished:
            print(ran.said)
            return 1
        seed += 1
    print(f"{generated} cases in {time.monotonic() - began:.0f} s, every answer as documented")
    return 0


if __name__ == "__main__":
    sys.exit(main())
