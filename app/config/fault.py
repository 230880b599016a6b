"""What is wrong with a configuration file, told all at once.

A fault says file, key, what was found and what was expected. What was found of a secret is never told.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to mend.

    `key` is the dotted path, `line 3, column 7` for a syntax fault, or empty for the file itself.
    """

    file: str
    key: str
    found: str
    expected: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.key}" if self.key else self.file
        return f"{place}: found {self.found}, expected {self.expected}"


class ConfigError(Exception):
    """The file cannot be used; `faults` has everything that is wrong with it."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)
