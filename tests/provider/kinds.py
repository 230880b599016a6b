"""Every kind of number that the library knows of, by region, and which of them an API caller may have called."""

from __future__ import annotations

from collections.abc import Iterator

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberFormat, PhoneNumberType

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)

CALLABLE = {
    PhoneNumberType.FIXED_LINE,
    PhoneNumberType.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE,
    PhoneNumberType.VOIP,
}

REFUSED = {
    "premium": PhoneNumberType.PREMIUM_RATE,
    "shared-cost": PhoneNumberType.SHARED_COST,
    "toll-free": PhoneNumberType.TOLL_FREE,
    "personal": PhoneNumberType.PERSONAL_NUMBER,
    "pager": PhoneNumberType.PAGER,
    "access": PhoneNumberType.UAN,
    "voicemail": PhoneNumberType.VOICEMAIL,
}


def examples(kind: int) -> Iterator[tuple[str, PhoneNumber]]:
    """A number of that kind for each region that has one."""
    for region in REGIONS:
        number = phonenumbers.example_number_for_type(region, kind)
        if number is not None:
            yield region, number


def spellings(number: PhoneNumber) -> set[str]:
    """As people write it: E.164, international, national."""
    forms = (PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL)
    return {phonenumbers.format_number(number, form) for form in forms}


def short_numbers() -> Iterator[tuple[str, str]]:
    """Short numbers of each region: emergency, premium, free, standard."""
    for region in REGIONS:
        plan = PhoneMetadata.short_metadata_for_region(region)
        if plan is None:
            continue
        kinds = (plan.short_code, plan.emergency, plan.premium_rate, plan.toll_free, plan.standard_rate)
        for kind in kinds:
            if kind is not None and kind.example_number:
                yield region, kind.example_number
