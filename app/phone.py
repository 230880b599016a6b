"""Phone numbers: what people and the provider write, and the one form we keep (E.164).

Bottom layer: imports nothing of ours. It must never hold, cache or print a number: texts of faults say
what is expected, not what came.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

NumberFormat = Literal["national", "e164"]

# Not `\d`, which takes every script's digits, and matched whole, for `$` would let a trailing newline pass.
# No country code begins with 0.
_WRITTEN = re.compile(r" *(?:\+[1-9]|[0-9])[0-9 .\-]*")
_LONGEST_TEXT = 40
_NOT_DIALLED = re.compile(r"[^0-9+]")
_VIETNAM = "+84"

_CALLABLE = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.VOIP,
    }
)
"""Kinds of number that ring a person's phone at a usual price. Lines over IP are such; personal numbers (+44 70…) are
not, for calls to them are priced as their owner's operator likes. No premium, shared-cost or free-phone lines, no
pagers, voice mail or companies' access numbers."""


# The two spellings that nearly all come in. The library's parser takes as long as all its other checks of them.
_PLAIN_VIETNAMESE = re.compile(r"(?:\+84|0)([1-9][0-9]{8,9})")


class NumberFault(ValueError):
    """A number that may not be sent to. The text says what is expected and never repeats the number."""


def parse_caller_number(text: str, allowed_regions: Sequence[str]) -> str:
    """What an API caller wrote as E.164, such as `+84901234567`.

    National form is read as of each allowed region; where that gives several numbers it is refused, for a code must
    not be spoken to a stranger. Raises NumberFault.
    """
    if len(text) > _LONGEST_TEXT or _WRITTEN.fullmatch(text) is None:
        raise NumberFault(
            "expected a phone number in ASCII digits, with a leading + if international; "
            "only spaces, dots and dashes may stand between them"
        )
    dialled = _NOT_DIALLED.sub("", text)
    # What begins with + is the same number read from any region.
    meant = _meant(dialled, allowed_regions[:1] if dialled[0] == "+" else allowed_regions)
    if len(meant) > 1:
        raise NumberFault(
            "expected E.164, with a leading +: in national form it is a number of several allowed regions"
        )
    if meant and _may_be_called(meant[0], allowed_regions):
        return phonenumbers.format_number(meant[0], PhoneNumberFormat.E164)
    raise NumberFault(
        f"expected a valid fixed or mobile number of {', '.join(allowed_regions)}, national or E.164; "
        "no short, premium, personal or free-phone number"
    )


def same_number(text: str, region: str = "VN") -> str | None:
    """A provider's spelling as E.164; None if it cannot be read.

    Known ones are `090…`, `8490…`, `+8490…`, with or without spaces, dots and dashes.
    """
    if len(text) > _LONGEST_TEXT:
        return None
    dialled = _NOT_DIALLED.sub("", text)
    if region == "VN" and (plain := _PLAIN_VIETNAMESE.fullmatch(dialled)) is not None:
        return f"+84{plain[1]}"
    # A number abroad that lost its plus is tried last, so that a national one is never mistaken for it.
    for spelling in (dialled, f"+{dialled}"):
        number = _parsed(spelling, region)
        if number is not None and phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return None


def as_provider_spelling(e164: str, number_format: NumberFormat) -> str:
    """`0901234567` or `+84901234567`. Numbers abroad stay E.164: the provider's nation is Vietnam."""
    if number_format == "e164" or not e164.startswith(_VIETNAM):
        return e164
    return f"0{e164.removeprefix(_VIETNAM)}"


def _parsed(dialled: str, region: str) -> PhoneNumber | None:
    plain = _PLAIN_VIETNAMESE.fullmatch(dialled)
    if plain is not None and (region == "VN" or dialled[0] == "+"):
        return PhoneNumber(country_code=84, national_number=int(plain[1]))
    try:
        return phonenumbers.parse(dialled, region)
    except NumberParseException:
        return None


def _meant(dialled: str, regions: Sequence[str]) -> list[PhoneNumber]:
    """What may be meant, each once: with several regions, the valid numbers, whether they may be called or not."""
    found = [number for region in regions if (number := _parsed(dialled, region)) is not None]
    if len(found) > 1:
        found = [number for number in found if phonenumbers.is_valid_number(number)]
    return [number for at, number in enumerate(found) if number not in found[:at]]


def _may_be_called(number: PhoneNumber, allowed_regions: Sequence[str]) -> bool:
    return (
        phonenumbers.region_code_for_number(number) in allowed_regions
        and phonenumbers.number_type(number) in _CALLABLE
    )
