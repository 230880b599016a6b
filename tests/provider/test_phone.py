from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.phone import NumberFault, as_provider_spelling, parse_caller_number, same_number
from tests.provider.kinds import CALLABLE


@pytest.mark.parametrize(
    "written",
    (
        "0901234567",
        "0901 234 567",
        "090.123.4567",
        "090-123-4567",
        "+84901234567",
        "+84 90 123 45 67",
        " 0901234567 ",
        "84901234567",
        "901234567",
        "0084901234567",
        "+840901234567",
    ),
)
def test_a_caller_may_write_a_number_national_or_e164(written: str) -> None:
    assert parse_caller_number(written, ["VN"]) == "+84901234567"


@pytest.mark.parametrize(
    "written",
    (
        "",
        "+",
        " ",
        "-",
        "0901234567\n",
        "\n0901234567",
        "0901234567\r\n",
        "0901234567\t",
        "0901234567\x00",
        "０９０１２３４５６７",  # full-width digits
        "٠٩٠١٢٣٤٥٦٧",  # Arabic-Indic digits
        "090१234567",  # one Devanagari digit
        "\uff0b84901234567",  # full-width plus
        "0901\u00a0234567",
        "O901234567",
        "0901234567 ext 4",
        "0901234567x4",
        "0901234567;ext=4",
        "tel:+84901234567",
        "tel:0901234567;phone-context=+84",
        "+84901234567,1#",
        "*67 0901234567",
        "090-FLOWERS",
        "\u200e0901234567",  # a mark from left to right
        "\u202b0901234567\u202c",  # from right to left
        "0901\u200b234567",  # a space of no width
        "0901\u2013234567",  # a dash that is none of ASCII's
        "+0084901234567",
        "+ 84901234567",
        "+8400901234567",
        "00901234567",
        "0840901234567",
        "(090) 1234567",
        "++84901234567",
        "0901+234567",
        "090123456",
        "09012345678",
        "0101234567",
        "19001234",
        "1900123456",
        "18001234",
        "113",
        "+84113",
        "+12015550123",
        "+442079460000",
        "0" * 10_000,
        "1" * 39,
    ),
)
def test_a_number_that_cannot_be_called_is_refused_with_what_is_expected(written: str) -> None:
    with pytest.raises(NumberFault, match=r"^expected ") as fault:
        parse_caller_number(written, ["VN"])
    assert not any(len(word) > 2 and word in str(fault.value) for word in written.split())


def test_a_national_number_is_of_the_allowed_region_that_it_is_valid_in() -> None:
    assert parse_caller_number("0901234567", ["SG", "VN"]) == "+84901234567"
    assert parse_caller_number("9123 4567", ["VN", "SG"]) == "+6591234567"
    assert parse_caller_number("+6591234567", ["VN", "SG"]) == "+6591234567"


@pytest.mark.parametrize(
    ("written", "regions"), (("2105550123", ["VN", "US"]), ("081 234 5678", ["TH", "VN"])), ids=("US", "TH")
)
def test_a_national_number_of_two_allowed_regions_is_refused_for_it_may_be_a_strangers(
    written: str, regions: list[str]
) -> None:
    alone = {parse_caller_number(written, [region]) for region in regions}
    assert len(alone) == 2
    with pytest.raises(NumberFault, match=r"^expected E\.164"):
        parse_caller_number(written, regions)
    assert {parse_caller_number(e164, regions) for e164 in alone} == alone


def test_a_national_number_is_clear_where_regions_share_one_plan() -> None:
    assert parse_caller_number("204 234 5678", ["US", "CA"]) == "+12042345678"


@pytest.mark.parametrize(
    ("e164", "its_region", "shares_its_code_with"),
    (
        ("+18092345678", "DO", "US"),
        ("+18762345678", "JM", "US"),
        ("+12042345678", "CA", "US"),
        ("+447797712345", "JE", "GB"),
        ("+447781123456", "GG", "GB"),
        ("+77012345678", "KZ", "RU"),
    ),
)
def test_a_country_code_that_many_share_opens_none_but_the_allowed_region(
    e164: str, its_region: str, shares_its_code_with: str
) -> None:
    assert parse_caller_number(e164, [its_region]) == e164
    with pytest.raises(NumberFault):
        parse_caller_number(e164, [shares_its_code_with])


@pytest.mark.parametrize(
    "spelling",
    (
        "0901234567",
        "84901234567",
        "+84901234567",
        "84 90 123 4567",
        "+84-90.123.4567",
        "090 123 45 67",
        "901234567",
    ),
)
def test_every_spelling_of_the_provider_is_the_same_number(spelling: str) -> None:
    assert same_number(spelling) == "+84901234567"


def test_a_number_abroad_is_known_again_without_its_plus() -> None:
    assert same_number("12015550123") == "+12015550123"


@pytest.mark.parametrize(
    "text", ("", "+", "null", "090xxxxxxx", "090***4567", "anonymous", "1", "0" * 10_000)
)
def test_a_spelling_that_is_no_number_is_none(text: str) -> None:
    assert same_number(text) is None


def test_the_provider_gets_the_spelling_it_is_configured_for() -> None:
    assert as_provider_spelling("+84901234567", "national") == "0901234567"
    assert as_provider_spelling("+84901234567", "e164") == "+84901234567"
    assert as_provider_spelling("+12015550123", "national") == "+12015550123"


@given(st.from_regex(r"(\+84|0)[1-9][0-9]{8,9}", fullmatch=True))
def test_a_plain_spelling_is_read_as_the_library_reads_it(text: str) -> None:
    """Short-cut or not, it is the same number, and as callable."""
    try:
        ours = parse_caller_number(text, ["VN"])
    except NumberFault:
        ours = None
    with_a_space = f"{text[:-3]} {text[-3:]}"
    library = phonenumbers.parse(with_a_space, "VN")
    assert ours in (None, phonenumbers.format_number(library, phonenumbers.PhoneNumberFormat.E164))
    assert (ours is not None) == (phonenumbers.number_type(library) in CALLABLE)
