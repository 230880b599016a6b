"""This tree's figures beside those of another commit, measured in turns on one machine.

    python -m tests.bench.compare HEAD~1
    python -m tests.bench.compare v0.1.0 --only accept --only callbacks

The other commit is checked out into a temporary folder and measured by its own benchmarks, with this tree's libraries.
Exit code 1 where a figure is worse by more than `--worse` percent.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.bench.figures import ask, say

QUICK = {
    "accept": ("--rounds", "2", "--seconds", "3"),
    "callbacks": ("--messages", "6000", "--rounds", "2"),
    "drain": ("--messages", "10000"),
    "idle": ("--seconds", "8", "--starts", "3"),
    "memory": ("--messages", "5000"),
    "reach": ("--seconds", "5"),
}
_HERE = Path(__file__).parents[2]
_LONGEST_S = 300

Figures = dict[tuple[str, str], list[float]]


def _measure(tree: Path, bench: str, into: Figures, lower: set[tuple[str, str]]) -> None:
    argv = [sys.executable, "-m", f"tests.bench.{bench}", *QUICK[bench], "--json"]
    done = subprocess.run(
        argv,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=_LONGEST_S,
        check=False,
    )
    for line in done.stdout.splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            continue  # a commit of before `--json`
        name = told["bench"], told["figure"]
        into[name].append(told["value"])
        if told["most"] is not None:
            lower.add(name)


def _worse_percent(there: float, here: float, *, lower_is_better: bool) -> float:
    if not there or not here:
        return 0.0
    return 100 * ((here / there if lower_is_better else there / here) - 1)


def _table(there: Figures, here: Figures, lower: set[tuple[str, str]], most_worse: float) -> int:
    missed = 0
    print(f"{'':<62}{'there':>10}{'here':>10}{'worse':>9}")
    for name in here:
        now = statistics.median(here[name])
        if name not in there:
            print(f"{': '.join(name):<62}{'-':>10}{now:10.2f}")
            continue
        before = statistics.median(there[name])
        worse = _worse_percent(before, now, lower_is_better=name in lower)
        is_missed = worse > most_worse
        missed += is_missed
        print(
            f"{': '.join(name):<62}{before:10.2f}{now:10.2f}{worse:8.0f} %{'   WORSE' if is_missed else ''}"
        )
    return int(missed > 0)


def main() -> int:
    """Measures and prints; the exit code."""
    asks = ask(__doc__)
    asks.add_argument("commit", help="to compare with")
    asks.add_argument(
        "--only", action="append", choices=sorted(QUICK), help="this benchmark; may be given again"
    )
    asks.add_argument("--rounds", type=int, default=3, help="of each tree, in turns [default: 3]")
    asks.add_argument(
        "--worse", type=float, default=10.0, help="percent that are no reason to fail [default: 10]"
    )
    asked = asks.parse_args()
    there: Figures = defaultdict(list)
    here: Figures = defaultdict(list)
    lower: set[tuple[str, str]] = set()
    git = ["git", "-C", str(_HERE), "worktree"]
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        other = Path(folder) / "other"
        subprocess.run([*git, "add", "--quiet", "--detach", str(other), asked.commit], check=True)
        try:
            for bench in asked.only or sorted(QUICK):
                for n in range(1, asked.rounds + 1):
                    say(f"{bench}, round {n} of {asked.rounds}")
                    _measure(other, bench, there, lower)
                    _measure(_HERE, bench, here, lower)
        finally:
            subprocess.run([*git, "remove", "--force", str(other)], check=True)
    return _table(there, here, lower, asked.worse)


if __name__ == "__main__":
    sys.exit(main())
