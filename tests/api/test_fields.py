"""Every rule of a message's fields, broken singly and together: 422 names the field, and nothing is stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.api.desk import Api, Json, assert_problem, otp, pointers

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("nothing_stored")]


def _ahead(**by: float) -> str:
    return (datetime.now(UTC) + timedelta(**by)).isoformat()


BROKEN: dict[str, tuple[Json, str]] = {
    "campaign as a number": ({"campaign": 7}, "/campaign"),
    "campaign left out by a client of two": ({"campaign": None}, "/campaign"),
    "campaign with half a pair": ({"campaign": "\ud800"}, "/campaign"),
    "number in Arabic digits": ({"phone_number": "٠٩٠١٢٣٤٥٦٧"}, "/phone_number"),
    "number in full-width digits": ({"phone_number": "０９０１２３４５６７"}, "/phone_number"),
    "number with one full-width digit": ({"phone_number": "０901234567"}, "/phone_number"),
    "number as an integer": ({"phone_number": 84901234567}, "/phone_number"),
    "number as an integer without its zero": ({"phone_number": 901234567}, "/phone_number"),
    "number as an object": ({"phone_number": {"number": "0901234567"}}, "/phone_number"),
    "number with a trailing newline": ({"phone_number": "0901234567\n"}, "/phone_number"),
    "number with a letter": ({"phone_number": "0901234567x1"}, "/phone_number"),
    "number with a letter at its end": ({"phone_number": "0901234567x"}, "/phone_number"),
    "number with half a pair": ({"phone_number": "\ud800"}, "/phone_number"),
    "number of another region": ({"phone_number": "+12025550123"}, "/phone_number"),
    "number of a region that shares its code": ({"phone_number": "+14155550100"}, "/phone_number"),
    "number too short": ({"phone_number": "113"}, "/phone_number"),
    "number short of one digit": ({"phone_number": "090123456"}, "/phone_number"),
    "number of a hotline": ({"phone_number": "19001234"}, "/phone_number"),
    "number empty": ({"phone_number": ""}, "/phone_number"),
    "number left out": ({"phone_number": None}, "/phone_number"),
    "code as an integer": ({"otp_code": 4217}, "/otp_code"),
    "code as an integer of six": ({"otp_code": 123456}, "/otp_code"),
    "code as a truth": ({"otp_code": True}, "/otp_code"),
    "code as a list": ({"otp_code": ["004217"]}, "/otp_code"),
    "code of zeros": ({"otp_code": "000000"}, "/otp_code"),
    "code of five": ({"otp_code": "00421"}, "/otp_code"),
    "code of seven": ({"otp_code": "0042170"}, "/otp_code"),
    "code in full-width digits": ({"otp_code": "００４２１７"}, "/otp_code"),
    "code in Arabic digits": ({"otp_code": "٠٠٤٢١٧"}, "/otp_code"),
    "code in Devanagari": ({"otp_code": "१२३४५६"}, "/otp_code"),
    "code with a trailing newline": ({"otp_code": "004217\n"}, "/otp_code"),
    "code with a space": ({"otp_code": " 04217"}, "/otp_code"),
    "code with a sign": ({"otp_code": "+04217"}, "/otp_code"),
    "code with half a pair": ({"otp_code": "\ud800"}, "/otp_code"),
    "code left out": ({"otp_code": None}, "/otp_code"),
    "code for a notice": ({"campaign": "order-notice"}, "/otp_code"),
    "malformed code for a notice": ({"campaign": "order-notice", "otp_code": 1}, "/otp_code"),
    "variables as a list": ({"variables": []}, "/variables"),
    "variables as a list of names": ({"variables": ["a"]}, "/variables"),
    "variable as a number": ({"variables": {"a": 1}}, "/variables/a"),
    "variable too long": ({"variables": {"a": "x" * 257}}, "/variables/a"),
    "variable of the provider's, a token": ({"variables": {"access_token": "x"}}, "/variables/access_token"),
    "variable of the provider's, a code": ({"variables": {"otp_code": "x"}}, "/variables/otp_code"),
    "variable of the provider's, a number": ({"variables": {"phone_number": "x"}}, "/variables/phone_number"),
    "variable's name with a dash": ({"variables": {"a-b": "x"}}, "/variables/a-b"),
    "variable's name with a space": ({"variables": {"ho ten": "x"}}, "/variables/ho ten"),
    "variable's name with a digit first": ({"variables": {"1st": "x"}}, "/variables/1st"),
    "variable's name with a slash": ({"variables": {"a/b~": "x"}}, "/variables/a~1b~0"),
    "variable's name with a newline": ({"variables": {"a\n": "x"}}, "/variables/a\n"),
    "variable's name too long": ({"variables": {"a" * 41: "x"}}, "/variables/" + "a" * 41),
    "variable with half a pair": ({"variables": {"a": "\ud800"}}, "/variables/a"),
    "callback elsewhere": ({"callback_url": "https://elsewhere.example/x"}, "/callback_url"),
    "callback at a longer name": (
        {"callback_url": "https://checkout.internal.evil.example/"},
        "/callback_url",
    ),
    "callback by another scheme": ({"callback_url": "http://checkout.internal/"}, "/callback_url"),
    "callback with credentials": ({"callback_url": "http://me:secret@127.0.0.1/x"}, "/callback_url"),
    "callback with credentials at a name": (
        {"callback_url": "https://user:pw@checkout.internal/"},
        "/callback_url",
    ),
    "callback as a number": ({"callback_url": 1}, "/callback_url"),
    "callback empty": ({"callback_url": ""}, "/callback_url"),
    "callback with half a pair": ({"callback_url": "\ud800"}, "/callback_url"),
    "expires too soon": ({"expires_in": 4}, "/expires_in"),
    "expires too late": ({"expires_in": 86_401}, "/expires_in"),
    "expires as a fraction": ({"expires_in": 60.0}, "/expires_in"),
    "expires as a truth": ({"expires_in": True}, "/expires_in"),
    "expires as text": ({"expires_in": "60"}, "/expires_in"),
    "expires at a time with no zone": ({"expires_at": "2026-11-24T03:00:00"}, "/expires_at"),
    "expires at a time long past": ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
    "expires at no day": ({"expires_at": "2026-02-30T03:00:00Z"}, "/expires_at"),
    "expires before all days": ({"expires_at": "0001-01-01T00:00:00+23:59"}, "/expires_at"),
    "expires after all days": ({"expires_at": "9999-12-31T23:59:59-23:59"}, "/expires_at"),
    "expires on the last of all days": ({"expires_at": "9999-12-31T23:59:59Z"}, "/expires_at"),
    "expires with a trailing newline": ({"expires_at": "2026-11-24T03:00:00Z\n"}, "/expires_at"),
    "expires at a number": ({"expires_at": 1795557526}, "/expires_at"),
    "expires at a word": ({"expires_at": "tomorrow"}, "/expires_at"),
    "reference too long": ({"reference": "x" * 129}, "/reference"),
    "reference as a number": ({"reference": 5}, "/reference"),
    "reference with half a pair": ({"reference": "\ud800"}, "/reference"),
    "metadata with too many": ({"metadata": {str(n): "x" for n in range(17)}}, "/metadata"),
    "metadata of numbers": ({"metadata": {"n": 5}}, "/metadata/n"),
    "metadata of lists": ({"metadata": {"n": ["x"]}}, "/metadata/n"),
    "metadata of objects": ({"metadata": {"n": {"deep": "x"}}}, "/metadata/n"),
    "metadata too long": ({"metadata": {"n": "x" * 257}}, "/metadata/n"),
    "an unknown field": ({"otp_codes": "004217"}, "/otp_codes"),
    "an unknown field with a slash": ({"a/b~c": 1}, "/a~1b~0c"),
    "an unknown field with half a pair": ({"\udc00": "x"}, "/?"),
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_broken_field_is_named_alone_and_its_value_is_not_repeated(api: Api, broken: str) -> None:
    fields, pointer = BROKEN[broken]
    answer = await _post(api, otp(**fields))
    document = assert_problem(answer, 422, "invalid-request")
    assert set(pointers(document)) == {pointer}
    assert all(one["detail"] for one in document["errors"])
    assert "4217" not in answer.text


async def _post(api: Api, body: object, **headers: str) -> httpx.Response:
    """With half a surrogate pair as an escape, which httpx would not do."""
    headers["content-type"] = "application/json"
    return await api.ask("POST", "/v1/messages", content=json.dumps(body).encode(), headers=headers)


async def test_a_name_that_cannot_be_written_is_refused_also_under_a_key(api: Api) -> None:
    answer = await _post(api, {"metadata": {"\ud800": "x"}, "\udfff": 1}, **{"idempotency-key": "k"})
    assert {"/metadata/?", "/?"} <= set(pointers(assert_problem(answer, 422, "invalid-request")))


@pytest.mark.parametrize("field", ("campaign", "phone_number", "otp_code", "variables", "callback_url",
                                   "expires_in", "expires_at", "reference", "metadata"))  # fmt: skip
async def test_null_is_no_way_to_leave_a_field_out(api: Api, field: str) -> None:
    document = assert_problem(await api.post({**otp(), field: None}), 422, "invalid-request")
    assert pointers(document) == [f"/{field}"]


async def test_all_faults_of_a_body_are_told_at_once_and_none_of_its_values(api: Api) -> None:
    body = {
        "phone_number": "٠٩٠١٢٣٤٥٦٧", "otp_code": 987654,
        "variables": {"1x": "private-value", "y": [], "otp_code": "x"}, "callback_url": "https://private-host.example/",
        "expires_in": 1, "expires_at": "private-time", "reference": ["private-reference"],
        "metadata": {"n": {"private": 1}}, "surprise": "private-surprise", "a/b~c": 1,
    }  # fmt: skip
    answer = await api.post(body)
    document = assert_problem(answer, 422, "invalid-request")
    assert set(pointers(document)) == {
        "/campaign", "/phone_number", "/otp_code", "/variables/1x", "/variables/y", "/variables/otp_code",
        "/callback_url", "/expires_in", "/expires_at", "/reference", "/metadata/n", "/surprise", "/a~1b~0c",
    }  # fmt: skip
    assert "private" not in answer.text
    assert "987654" not in answer.text


async def test_both_ways_to_say_when_it_expires_are_one_too_many(api: Api) -> None:
    body = otp(expires_in=60, expires_at=_ahead(minutes=1))
    assert pointers(assert_problem(await api.post(body), 422, "invalid-request")) == ["/expires_at"]


@pytest.mark.parametrize("by_s", (3, 86_460, -60))
async def test_a_time_too_near_or_too_far_is_at_fault(api: Api, by_s: int) -> None:
    body = otp(expires_at=_ahead(seconds=by_s))
    assert pointers(assert_problem(await api.post(body), 422, "invalid-request")) == ["/expires_at"]


@pytest.mark.parametrize("body", ([], "text", 5, None, True))
async def test_a_body_that_is_no_object_is_at_fault_as_a_whole(api: Api, body: object) -> None:
    document = assert_problem(await _post(api, body), 422, "invalid-request")
    assert "" in pointers(document)
