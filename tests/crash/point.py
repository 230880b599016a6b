"""A point between two effects of a process, and what happens to the process there."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Literal

import msgspec

Side = Literal["before", "after"]
Effects = list[tuple[Side, str, str]]
"""What a process did, in order: side, name, answer."""


class Point(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `nth` time that the effect is about to leave, or was answered by `answer` and nobody has seen it yet."""

    name: str
    side: Side
    nth: int = 1
    answer: str = ""

    def __str__(self) -> str:
        said = f" -> {self.answer}" if self.answer else ""
        return f"{self.side} {self.name}{said} #{self.nth}"


class Crash(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a process dies; `then`: where the one that comes after it dies too."""

    at: Point
    then: Point | None = None

    def __str__(self) -> str:
        return str(self.at) if self.then is None else f"{self.at}, then {self.then}"


class Job(msgspec.Struct, frozen=True):
    """A process to start: `worker` or `api` on a configuration file; `at`: where it gets `signal`."""

    role: Literal["worker", "api"]
    config: str
    log: str
    effects: str = ""
    at: Point | None = None
    signal: int = signal.SIGKILL


class Tripwire:
    """Writes down each effect, and sends this process the signal at the point."""

    def __init__(self, job: Job) -> None:
        self._log = Path(job.effects).open("w", buffering=1) if job.effects else None  # noqa: SIM115
        self._at = job.at
        self._signal = job.signal
        self._seen: Counter[tuple[str, Side, str]] = Counter()

    def before(self, name: str) -> None:
        self._met(name, "before", "")

    def after(self, name: str, answer: str) -> None:
        self._met(name, "after", answer)

    def _met(self, name: str, side: Side, answer: str) -> None:
        self._seen[name, side, answer] += 1
        if self._log is not None:
            self._log.write(f"{side}\t{name}\t{answer}\n")
        at = self._at
        if at is None or (at.name, at.side, at.answer) != (name, side, answer):
            return
        if self._seen[name, side, answer] == at.nth:
            os.kill(os.getpid(), self._signal)


def recorded(file: Path) -> Effects:
    """The effects that a process wrote down, in order."""
    rows: Effects = []
    for line in file.read_text().splitlines():
        side, name, answer = line.split("\t")
        rows.append(("before" if side == "before" else "after", name, answer))
    return rows
