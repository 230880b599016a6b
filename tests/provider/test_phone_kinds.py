"""Toll fraud by number: no kind that costs more than a usual call is taken, in any region, however it is written."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from app.phone import NumberFault, as_provider_spelling, parse_caller_number, same_number
from tests.provider.kinds import CALLABLE, REFUSED, REGIONS, examples, short_numbers, spellings


def _taken(written: str, regions: list[str]) -> str | None:
    try:
        return parse_caller_number(written, regions)
    except NumberFault:
        return None


@pytest.mark.parametrize("kind", REFUSED)
def test_no_region_lets_a_number_of_this_kind_through(kind: str) -> None:
    seen = 0
    for region, number in examples(REFUSED[kind]):
        seen += 1
        e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        through = {written: _taken(written, [region]) for written in spellings(number)}
        assert set(through.values()) == {None}, (region, through)
        assert _taken(e164, REGIONS) is None, region
    assert seen >= 10


@pytest.mark.parametrize("kind", ("FIXED_LINE", "MOBILE", "VOIP"))
def test_a_number_that_rings_a_person_is_taken_in_its_own_region_alone(kind: str) -> None:
    seen = 0
    for region, number in examples(getattr(PhoneNumberType, kind)):
        e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        own = phonenumbers.region_code_for_number(number)  # of a plan that regions share, the main one
        assert _taken(e164, [region]) == (e164 if own == region else None), region
        assert _taken(e164, [other for other in REGIONS if other != own]) is None, region
        seen += 1
    assert seen >= 50


def test_no_number_of_a_network_that_belongs_to_no_country_is_taken() -> None:
    """Satellite, free phone (UIFN), shared cost, personal, networks' own, premium."""
    for code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS:
        number = phonenumbers.example_number_for_non_geo_entity(code)
        assert number is not None
        assert _taken(phonenumbers.format_number(number, PhoneNumberFormat.E164), REGIONS) is None, code
    assert {800, 808, 870, 878, 881, 882, 883, 979} <= phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS


def test_no_short_number_of_any_region_is_taken() -> None:
    found = set(short_numbers())
    assert len(found) > 300
    for region, short in found:
        code = phonenumbers.country_code_for_region(region)
        for written in (short, f"0{short}", f"+{code}{short}", f"00{code}{short}"):
            assert _taken(written, [region]) is None, (region, written)


@pytest.mark.parametrize(
    "written",
    (
        "113", "114", "115", "112", "0113", "+84113", "+84 115", "1080", "116", "18001091", "1800 1091", "19006789",
        "1900 1091", "190056565656", "02419001091", "+8419001091",
    ),
)  # fmt: skip
def test_vietnams_emergency_service_premium_and_free_numbers_are_refused(written: str) -> None:
    assert _taken(written, ["VN"]) is None
    assert _taken(written, ["US", "VN", "TH"]) is None


def test_personal_numbers_are_refused_though_a_person_has_them() -> None:
    assert _taken("+44 70 1234 5678", ["GB"]) is None
    assert _taken("07012345678", ["GB"]) is None
    assert _taken("+447400123456", ["GB"]) == "+447400123456"


_PREFIXES = (
    "+{code}",
    "+{code}0",
    "+{code} 0",
    "00{code}",
    "{code}",
    "0",
    "",
    "1",
    "+",
    "00",
    "011{code}",
    "8",
)
_MOBILE = {region: number for region, number in examples(PhoneNumberType.MOBILE)}


@given(
    st.sampled_from(sorted(_MOBILE)),
    st.sampled_from(_PREFIXES),
    st.lists(st.sampled_from(("", "", "", " ", ".", "-", "  ")), min_size=20, max_size=20),
    st.sampled_from((["VN"], ["VN", "US"], ["GB", "US", "VN"], ["RU", "KZ"], ["AR", "MX", "BR"])),
)
def test_whatever_is_taken_is_one_number_in_one_form_of_an_allowed_region(
    region: str, prefix: str, between: list[str], more: list[str]
) -> None:
    number, allowed = _MOBILE[region], [*more, region]
    digits = prefix.format(code=number.country_code) + phonenumbers.national_significant_number(number)
    taken = _taken("".join(a + b for a, b in zip(digits, between, strict=False)), allowed)
    if taken is None:
        return
    read = phonenumbers.parse(taken)
    assert phonenumbers.number_type(read) in CALLABLE
    assert phonenumbers.region_code_for_number(read) in allowed
    assert {_taken(taken, [one, *allowed]) for one in allowed} == {taken}
    assert same_number(as_provider_spelling(taken, "national")) == taken
