"""Kills a worker at each crash point: `python -m tests.crash --all`, or as one that failed: `--at '<crash>'`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from tests.crash.crashes import Crashes, crashes
from tests.crash.point import Crash


def main() -> int:
    """The exit code: 1 if anything was violated or a point was not reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--all", action="store_true", help="every point, not one of each class")
    parser.add_argument("--at", metavar="CRASH", help="this one alone, as a failing run printed it")
    parser.add_argument("--at-once", type=int, default=6, metavar="N")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crash"))
    try:
        return asyncio.run(_run(asked.all, asked.at, asked.at_once, folder))
    except KeyboardInterrupt:
        return 130
    finally:
        print(f"logs and effects: {folder}")


async def _run(every: bool, at: str | None, at_once: int, folder: Path) -> int:
    async with crashes(folder, at_once=1 if at else at_once) as stages:
        if at is not None:
            result = await stages.play_at(0, msgspec.json.decode(at, type=Crash))
            print(result)
            return 0 if result.played.reached and not result.played.violations else 1
        return await _run_many(stages, every)


async def _run_many(stages: Crashes, every: bool) -> int:
    effects, planned = await stages.plan(every=every)
    print(f"{len(effects)} effects recorded, {len(planned)} crashes planned", flush=True)
    began, bad, missed, slowest_s = time.monotonic(), 0, 0, 0.0
    number = 0
    async for result in stages.play_all(planned):
        number += 1
        print(f"{number:4}/{len(planned)}  {result}", flush=True)
        slowest_s = max(slowest_s, result.played.settled_s)
        missed += not result.played.reached
        if result.played.violations:
            bad += 1
            print(f"    again: python -m tests.crash --at '{msgspec.json.encode(result.crash).decode()}'")
    took_s = time.monotonic() - began
    print(f"{len(planned)} crashes, {missed} not reached, {bad} with violations, in {took_s:.0f} s")
    print(f"settled at the latest {slowest_s:.1f} s after the crash")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
