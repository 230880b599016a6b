"""Reading a TOML table strictly: what nobody asked for is a fault, and no fault hides another.

A value at fault is replaced by a stand-in so that reading goes on and all faults are found; stand-ins never
leave the package, for `app.config.file` raises when there is any fault. Knows no key of the schema.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator
from datetime import date, datetime, time
from typing import TypeVar

from app.config.fault import Fault

T = TypeVar("T")
Read = Callable[[object], T]
"""Reads a value as TOML gave it; raises `Unfit`."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_WRITTEN = re.compile(r"[A-Za-z0-9_.-]+(\[[0-9]+\])?")
_LONGEST_SHOWN = 80


class Unfit(ValueError):
    """A value that cannot be used. `found` stands for values that must not be shown as they are."""

    def __init__(self, expected: str, *, found: str | None = None) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = found


class Faults:
    """What was found wrong in one file so far."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Fault] = []

    def add(self, key: str, found: str, expected: str) -> None:
        self.found.append(Fault(self.file, key, found, expected))


class Table:
    """One table of the file. Used in a `with`, whose end makes every key not asked for a fault."""

    def __init__(self, raw: dict[str, object], path: str, faults: Faults) -> None:
        self._raw = raw
        self._faults = faults
        self._asked: set[str] = set()
        self.path = path

    def __enter__(self) -> Table:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        for key in self._raw.keys() - self._asked:
            near = difflib.get_close_matches(key, self._asked, n=1)
            hint = f"{near[0]} (did you mean that?)" if near else f"one of: {', '.join(sorted(self._asked))}"
            self.fault(key, "an unknown key", hint)

    def has(self, key: str) -> bool:
        return key in self._raw

    def is_empty_list(self, key: str) -> bool:
        return self._raw.get(key) == []

    def fault(self, key: str, found: str, expected: str) -> None:
        self._faults.add(self._at(key), found, expected)

    def optional(self, key: str, read: Read[T], default: T) -> T:
        """The key's value, or `default` where it is not in the file."""
        self._asked.add(key)
        return self._read(self._at(key), self._raw[key], read, default) if key in self._raw else default

    def required(self, key: str, read: Read[T], stand_in: T, expected: str) -> T:
        """The key's value; its absence is a fault."""
        self._asked.add(key)
        if key not in self._raw:
            self.fault(key, "nothing", expected)
            return stand_in
        return self._read(self._at(key), self._raw[key], read, stand_in)

    def each(self, key: str, read: Read[T], default: tuple[T, ...]) -> tuple[T, ...]:
        """The key's list, read element by element, or `default` where it is not in the file."""
        self._asked.add(key)
        return self._read_each(key, read) if key in self._raw else default

    def some(self, key: str, read: Read[T], expected: str) -> tuple[T, ...]:
        """As `each`, but the list must be there and must not be empty."""
        self._asked.add(key)
        if self._raw.get(key, []) == []:
            self.fault(key, "an empty list" if key in self._raw else "nothing", expected)
            return ()
        return self._read_each(key, read)

    def table(self, key: str) -> Table:
        """The table under the key; an empty one where it is not in the file."""
        self._asked.add(key)
        raw = self._raw.get(key, {})
        if not isinstance(raw, dict):
            self.fault(key, describe(raw), "a table")
            raw = {}
        return Table(raw, self._at(key), self._faults)

    def named(self, key: str) -> Iterator[tuple[str, Table]]:
        """The tables under the key, each with the name that the file gave it."""
        outer = self.table(key)
        for name in outer._raw:
            if _NAME.fullmatch(name) is None:
                outer.fault(
                    name, "that name", "a name of 1 to 64 letters, digits, dots, dashes and underscores"
                )
            yield name, outer.table(name)

    def _at(self, key: str) -> str:
        written = key if _WRITTEN.fullmatch(key) else repr(key[:_LONGEST_SHOWN])
        return f"{self.path}.{written}" if self.path else written

    def _read(self, at: str, value: object, read: Read[T], stand_in: T) -> T:
        try:
            return read(value)
        except Unfit as unfit:
            self._faults.add(at, unfit.found or describe(value), unfit.expected)
            return stand_in

    def _read_each(self, key: str, read: Read[T]) -> tuple[T, ...]:
        values = self._raw[key]
        if not isinstance(values, list):
            # Without the value: the list may be one of secrets.
            self.fault(key, kind_of(values), "a list")
            return ()
        read_ones: list[T] = []
        for index, value in enumerate(values):
            try:
                read_ones.append(read(value))
            except Unfit as unfit:
                self.fault(f"{key}[{index}]", unfit.found or describe(value), unfit.expected)
        return tuple(read_ones)


def kind_of(value: object) -> str:
    """The sort of a TOML value, without the value."""
    match value:
        case str():
            return "a text"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "a table"
        case datetime() | date() | time():
            return "a date or time"
        case _:
            return "something else"


def describe(value: object) -> str:
    """A value as a fault may show it: short, on one line. Not for secrets."""
    match value:
        case str():
            return repr(value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "…")
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case _:
            return kind_of(value)


def nearest(word: str, known: Collection[str]) -> str:
    """What to say of a word that is not one of those known."""
    near = difflib.get_close_matches(word, known, n=1)
    listed = ", ".join(sorted(known)) or "none is defined"
    return f"one of: {listed}" + (f" (did you mean {near[0]}?)" if near else "")
