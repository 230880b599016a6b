"""A benchmark's figures: each beside what it must reach, for people or for a program."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One. At most one of `least` and `most` is given: what it must reach, or must not pass."""

    bench: str
    name: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None

    @property
    def is_reached(self) -> bool:
        """Also where there is nothing to reach."""
        return (self.least is None or self.value >= self.least) and (
            self.most is None or self.value <= self.most
        )

    def line(self) -> str:
        """For people."""
        bound = "" if self.least is None else f"   at least {self.least:g}"
        bound += "" if self.most is None else f"   at most {self.most:g}"
        return (
            f"{self.name:<58}{self.value:9.2f} {self.unit:<6}{bound}{'' if self.is_reached else '   MISSED'}"
        )

    def record(self) -> str:
        """One JSON object."""
        return json.dumps(
            {
                "bench": self.bench,
                "figure": self.name,
                "value": round(self.value, 4),
                "unit": self.unit,
                "least": self.least,
                "most": self.most,
                "reached": self.is_reached,
            }
        )


def share(values: Sequence[float], part: float) -> float:
    """The value that this part of them is not above; 0 where there are none."""
    in_order = sorted(values)
    return in_order[min(int(len(in_order) * part), len(in_order) - 1)] if in_order else 0.0


def ask(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a figure, on stdout")
    return parser


def say(line: str) -> None:
    """What is going on: on stderr, for stdout is the figures'."""
    print(line, file=sys.stderr, flush=True)


def report(figures: Iterable[Figure], *, as_json: bool) -> int:
    """Prints them; the exit code: 1 where one was missed."""
    found = list(figures)
    for figure in found:
        print(figure.record() if as_json else figure.line(), flush=True)
    return int(not all(figure.is_reached for figure in found))
