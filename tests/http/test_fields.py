"""Every rule of a message's fields, broken singly and together: 422 names the field, and nothing is stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.http.desk import Api, Json, assert_problem, otp, pointers

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _ahead(**by: float) -> str:
    return (datetime.now(UTC) + timedelta(**by)).isoformat()


BROKEN: dict[str, tuple[Json, str]] = {
    "campaign as a number": ({"campaign": 7}, "/campaign"),
    "number in Arabic digits": ({"phone_number": "٠٩٠١٢٣٤٥٦٧"}, "/phone_number"),
    "number in full-width digits": ({"phone_number": "０９０１２３４５６７"}, "/phone_number"),
    "number as an integer": ({"phone_number": 84901234567}, "/phone_number"),
    "number with a trailing newline": ({"phone_number": "0901234567\n"}, "/phone_number"),
    "number with a letter": ({"phone_number": "0901234567x1"}, "/phone_number"),
    "number of another region": ({"phone_number": "+12025550123"}, "/phone_number"),
    "number too short": ({"phone_number": "113"}, "/phone_number"),
    "number empty": ({"phone_number": ""}, "/phone_number"),
    "number left out": ({"phone_number": None}, "/phone_number"),
    "code as an integer": ({"otp_code": 123456}, "/otp_code"),
    "code of zeros": ({"otp_code": "000000"}, "/otp_code"),
    "code of five": ({"otp_code": "12345"}, "/otp_code"),
    "code in full-width digits": ({"otp_code": "１２３４５６"}, "/otp_code"),
    "code in Devanagari": ({"otp_code": "१२३४५६"}, "/otp_code"),
    "code with a trailing newline": ({"otp_code": "123456\n"}, "/otp_code"),
    "code with a sign": ({"otp_code": "+12345"}, "/otp_code"),
    "code left out": ({"otp_code": None}, "/otp_code"),
    "code for a notice": ({"campaign": "order-notice"}, "/otp_code"),
    "malformed code for a notice": ({"campaign": "order-notice", "otp_code": 1}, "/otp_code"),
    "variables as a list": ({"variables": []}, "/variables"),
    "variable as a number": ({"variables": {"a": 1}}, "/variables/a"),
    "variable too long": ({"variables": {"a": "x" * 257}}, "/variables/a"),
    "variable of the provider's": ({"variables": {"access_token": "x"}}, "/variables/access_token"),
    "variable's name with a dash": ({"variables": {"a-b": "x"}}, "/variables/a-b"),
    "variable's name with a slash": ({"variables": {"a/b~": "x"}}, "/variables/a~1b~0"),
    "variable's name with a newline": ({"variables": {"a\n": "x"}}, "/variables/a\n"),
    "variable's name too long": ({"variables": {"a" * 41: "x"}}, "/variables/" + "a" * 41),
    "variable with half a pair": ({"variables": {"a": "\ud800"}}, "/variables/a"),
    "callback elsewhere": ({"callback_url": "https://elsewhere.example/x"}, "/callback_url"),
    "callback with credentials": ({"callback_url": "http://me:secret@127.0.0.1/x"}, "/callback_url"),
    "callback as a number": ({"callback_url": 1}, "/callback_url"),
    "expires too soon": ({"expires_in": 4}, "/expires_in"),
    "expires too late": ({"expires_in": 86_401}, "/expires_in"),
    "expires as a fraction": ({"expires_in": 60.0}, "/expires_in"),
    "expires as a truth": ({"expires_in": True}, "/expires_in"),
    "expires as text": ({"expires_in": "60"}, "/expires_in"),
    "expires at a time with no zone": ({"expires_at": "2026-11-24T03:00:00"}, "/expires_at"),
    "expires at no day": ({"expires_at": "2026-02-30T03:00:00Z"}, "/expires_at"),
    "expires before all days": ({"expires_at": "0001-01-01T00:00:00+23:59"}, "/expires_at"),
    "expires after all days": ({"expires_at": "9999-12-31T23:59:59-23:59"}, "/expires_at"),
    "expires with a trailing newline": ({"expires_at": "2026-11-24T03:00:00Z\n"}, "/expires_at"),
    "reference too long": ({"reference": "x" * 129}, "/reference"),
    "reference as a number": ({"reference": 5}, "/reference"),
    "metadata with too many": ({"metadata": {str(n): "x" for n in range(17)}}, "/metadata"),
    "metadata of numbers": ({"metadata": {"n": 5}}, "/metadata/n"),
    "metadata too long": ({"metadata": {"n": "x" * 257}}, "/metadata/n"),
    "an unknown field": ({"otpcode": "x"}, "/otpcode"),
    "an unknown field with half a pair": ({"\udc00": "x"}, "/?"),
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_broken_field_is_named_and_nothing_is_stored(api: Api, broken: str) -> None:
    fields, pointer = BROKEN[broken]
    before = await api.keys()
    document = assert_problem(await _post(api, otp(**fields)), 422, "invalid-request")
    assert set(pointers(document)) == {pointer}
    assert all(one["detail"] for one in document["errors"])
    assert await api.keys() == before


async def _post(api: Api, body: object) -> httpx.Response:
    """With half a surrogate pair as an escape, which httpx would not do."""
    headers = {"content-type": "application/json"}
    return await api.ask("POST", "/v1/messages", content=json.dumps(body).encode(), headers=headers)


@pytest.mark.parametrize("field", ("campaign", "phone_number", "otp_code", "variables", "callback_url",
                                   "expires_in", "expires_at", "reference", "metadata"))  # fmt: skip
async def test_null_is_no_way_to_leave_a_field_out(api: Api, field: str) -> None:
    document = assert_problem(await api.post({**otp(), field: None}), 422, "invalid-request")
    assert pointers(document) == [f"/{field}"]


async def test_all_faults_of_a_body_are_told_at_once_and_none_of_its_values(api: Api) -> None:
    body = {
        "phone_number": "٠٩٠١٢٣٤٥٦٧", "otp_code": 987654, "variables": {"1x": "private-value", "y": []},
        "callback_url": "https://private-host.example/", "expires_in": 1, "expires_at": "private-time",
        "reference": ["private-reference"], "metadata": {"n": {"private": 1}}, "surprise": "private-surprise",
    }  # fmt: skip
    answer = await api.post(body)
    document = assert_problem(answer, 422, "invalid-request")
    assert set(pointers(document)) == {
        "/campaign", "/phone_number", "/otp_code", "/variables/1x", "/variables/y", "/callback_url",
        "/expires_in", "/expires_at", "/reference", "/metadata/n", "/surprise",
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


@pytest.mark.parametrize("fields", (
    {"phone_number": "+84 901-234.567"}, {"phone_number": "0901234567"}, {"otp_code": "000001"},
    {"otp_code": "999999"}, {"expires_in": 5}, {"expires_in": 86_400}, {"reference": "x" * 128},
    {"variables": {"_": "", "ho_ten": "Nguyễn Văn A"}}, {"variables": {"a" * 40: "x" * 256}},
    {"metadata": {str(n): "𝄞" * 256 for n in range(16)}}, {"callback_url": "http://127.0.0.1:8080/x?y=z"},
))  # fmt: skip
async def test_what_just_keeps_to_the_rules_is_taken(api: Api, fields: Json) -> None:
    assert (await api.post(otp(**fields))).status_code == 202


async def test_a_message_shows_what_was_sent_but_for_the_code(api: Api) -> None:
    answer = await api.post(otp(reference="login-8841", metadata={"session": "c0ffee"}, expires_in=120))
    message = answer.json()
    assert answer.headers["location"] == f"/v1/messages/{message['id']}"
    assert list(message) == [
        "id", "campaign", "state", "reason", "phone_number", "reference", "metadata", "callback_url",
        "accepted_at", "expires_at", "submitted_at", "finished_at", "call", "revision",
    ]  # fmt: skip
    assert message["phone_number"] == "+84901234567"
    assert (message["state"], message["revision"], message["metadata"]) == (
        "queued",
        1,
        {"session": "c0ffee"},
    )
    lives = datetime.fromisoformat(message["expires_at"]) - datetime.fromisoformat(message["accepted_at"])
    assert lives == timedelta(seconds=120)
    assert "004217" not in answer.text


async def test_the_only_campaign_of_a_client_need_not_be_named(api: Api) -> None:
    answer = await api.post({"phone_number": "0901234567"}, of="notices")
    assert answer.status_code == 202
    assert answer.json()["campaign"] == "order-notice"
    assert answer.json()["callback_url"] is None
