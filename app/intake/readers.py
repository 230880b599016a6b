"""Readers of one value: its type and the rules that need nothing but the value.

Each takes what JSON gave and says what it is worth, or adds a fault that tells what is expected and never what came.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from app.intake.faults import Faults, pointer_to

T = TypeVar("T")
Read = Callable[[object, str, Faults], T | None]
"""(value, pointer to it, where faults go) → what it is worth; None if it is at fault."""

_CODE = re.compile(r"[0-9]{6}")
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
OWN_NAMES = frozenset({"phone_number", "otp_code", "access_token"})
"""Names that are the provider's own, so that no variable may bear them."""


def encodable(value: str) -> bool:
    """Whether the text can be written in UTF-8: JSON's escapes can make half of a surrogate pair."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def text(longest: int | None = None) -> Read[str]:
    """A string of at most so many characters."""
    expected = (
        "expected a string" if longest is None else f"expected a string of at most {longest} characters"
    )

    def read(value: object, at: str, faults: Faults) -> str | None:
        if not isinstance(value, str) or (longest is not None and len(value) > longest):
            faults.add(at, expected)
        elif not encodable(value):
            faults.add(at, "expected Unicode text, without halves of surrogate pairs")
        else:
            return value
        return None

    return read


def whole_number(least: int, most: int) -> Read[int]:
    """A JSON integer within the bounds, both included."""

    def read(value: object, at: str, faults: Faults) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        faults.add(at, f"expected a whole number from {least} to {most}")
        return None

    return read


def code(value: object, at: str, faults: Faults) -> str | None:
    """A one-time code: a string of six ASCII digits from 000001."""
    if isinstance(value, str) and _CODE.fullmatch(value) is not None and value != "000000":
        return value
    faults.add(at, "expected a string of 6 digits, 000001 to 999999")
    return None


def moment(value: object, at: str, faults: Faults) -> datetime | None:
    """An RFC 3339 time with its zone."""
    if isinstance(value, str) and _RFC3339.fullmatch(value) is not None:
        try:
            return datetime.fromisoformat(value.upper())
        except ValueError:  # the thirtieth of February, say
            pass
    faults.add(at, "expected a time as of RFC 3339 with its zone, such as 2026-11-24T03:02:00Z")
    return None


def choice(*words: str) -> Read[str]:
    """One of the words."""
    listed = " or ".join(words)

    def read(value: object, at: str, faults: Faults) -> str | None:
        if isinstance(value, str) and value in words:
            return value
        faults.add(at, f"expected {listed}")
        return None

    return read


def texts(*, most: int | None, longest: int, name_rule: Callable[[str], str | None]) -> Read[dict[str, str]]:
    """An object of strings. `name_rule` gives what is wrong with a name, or None."""
    read_value = text(longest)

    def read(value: object, at: str, faults: Faults) -> dict[str, str] | None:
        if not isinstance(value, dict):
            faults.add(at, f"expected an object whose values are strings of at most {longest} characters")
            return None
        before = len(faults.found)
        if most is not None and len(value) > most:
            faults.add(at, f"expected at most {most} entries")
        for name, item in value.items():
            wrong = name_rule(name)
            if wrong is not None:
                faults.add(at + pointer_to(name), wrong)
            if not (isinstance(item, str) and len(item) <= longest and item.isascii()):
                read_value(item, at + pointer_to(name), faults)
        return value if len(faults.found) == before else None

    return read


def variable_name(name: str) -> str | None:
    """What is wrong with a variable's name."""
    if VARIABLE_NAME.fullmatch(name) is None:
        return "expected a name of 1 to 40 ASCII letters, digits and underscores that begins with no digit"
    if name in OWN_NAMES:
        return "expected a name that is not one of the provider's own: phone_number, otp_code, access_token"
    return None


def metadata_name(name: str) -> str | None:
    """What is wrong with a name in the metadata."""
    if len(name) > 128 or not encodable(name):
        return "expected a name of at most 128 Unicode characters"
    return None
