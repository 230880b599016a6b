"""Vietnamese numbers as the stand-in reads and spells them: ten or eleven ASCII digits from `0` on inside."""

from __future__ import annotations

import re
from typing import Literal

from app.message import mask_number

Spelling = Literal["national", "international", "e164", "spaced", "e164_spaced"]

_SEPARATORS = re.compile(r"[ .\-()]")
_NATIONAL = re.compile(r"0[2-9][0-9]{8,9}")


def read_national(raw: str) -> str | None:
    """`+84 901 234 567`, `84901234567` or `0901.234.567` as `0901234567`; None for what is no number."""
    digits = _SEPARATORS.sub("", raw)
    for prefix in ("+84", "0084", "84"):
        if digits.startswith(prefix):
            digits = "0" + digits.removeprefix(prefix)
            break
    return digits if _NATIONAL.fullmatch(digits) else None


def spell(national: str, spelling: Spelling) -> str:
    """A national number in one of the spellings that the provider may answer in."""
    rest = national[1:]
    spaced = f"{rest[:-6]} {rest[-6:-3]} {rest[-3:]}"
    match spelling:
        case "national":
            return national
        case "international":
            return "84" + rest
        case "e164":
            return "+84" + rest
        case "spaced":
            return "0" + spaced
        case "e164_spaced":
            return "+84 " + spaced


def mask(national: str) -> str:
    """The number as a page may show it."""
    return mask_number("+84" + national[1:])
