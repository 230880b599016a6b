"""What is taken: all that keeps to the rules, shown as it was sent but for the code, and kept in clear nowhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.desk import CODE, KEYS, RECEIVER, Api, Json, otp

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("fields", (
    {"phone_number": "+84 901-234.567"}, {"phone_number": "0901234567"}, {"otp_code": "000001"},
    {"otp_code": "999999"}, {"expires_in": 5}, {"expires_in": 86_400}, {"reference": "x" * 128},
    {"variables": {"_": "", "ho_ten": "Nguyễn Văn A"}}, {"variables": {"a" * 40: "x" * 256}},
    {"metadata": {str(n): "𝄞" * 256 for n in range(16)}}, {"callback_url": "http://127.0.0.1:8080/x?y=z"},
    {"callback_url": "https://checkout.internal/otp?t=1"},
))  # fmt: skip
async def test_what_just_keeps_to_the_rules_is_taken(api: Api, fields: Json) -> None:
    assert (await api.post(otp(**fields))).status_code == 202


async def test_a_body_of_just_its_size_is_taken(api: Api) -> None:
    body = json.dumps(otp()).encode().ljust(64 * 1024)
    headers = {"content-type": "application/json"}
    assert (await api.ask("POST", "/v1/messages", content=body, headers=headers)).status_code == 202


@pytest.mark.parametrize(
    "media_type", ("application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"')
)
async def test_json_in_utf_8_may_say_so(api: Api, media_type: str) -> None:
    body = json.dumps(otp()).encode()
    answer = await api.ask("POST", "/v1/messages", content=body, headers={"content-type": media_type})
    assert answer.status_code == 202


async def test_a_message_shows_what_was_sent_but_for_the_code(api: Api) -> None:
    answer = await api.post(otp(reference="login-8841", metadata={"session": "c0ffee"}, expires_in=120))
    message = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/messages/{message['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert list(message) == [
        "id", "campaign", "state", "reason", "phone_number", "reference", "metadata", "callback_url",
        "accepted_at", "expires_at", "submitted_at", "finished_at", "call", "revision",
    ]  # fmt: skip
    assert message["phone_number"] == "+84901234567"
    assert (message["state"], message["revision"]) == ("queued", 1)
    assert (message["reference"], message["metadata"]) == ("login-8841", {"session": "c0ffee"})
    lives = datetime.fromisoformat(message["expires_at"]) - datetime.fromisoformat(message["accepted_at"])
    assert lives == timedelta(seconds=120)
    shown = await api.ask("GET", answer.headers["location"])
    for secret in (CODE, KEYS["checkout"]):
        assert secret not in answer.text
        assert secret not in shown.text


async def test_the_only_campaign_of_a_client_need_not_be_named(api: Api) -> None:
    answer = await api.post({"phone_number": "0901234567"}, of="notices")
    assert answer.status_code == 202
    assert answer.json()["campaign"] == "order-notice"


async def test_a_message_that_names_no_callback_has_its_clients(api: Api) -> None:
    assert (await api.sent())["callback_url"] == f"{RECEIVER}/checkout"
    assert (await api.sent(of="notices", campaign=None, otp_code=None))["callback_url"] is None


async def test_an_expiry_may_be_a_time(api: Api) -> None:
    at = datetime.now(UTC) + timedelta(minutes=5)
    message = await api.sent(expires_at=at.astimezone().isoformat())
    to_the_millisecond = at.replace(microsecond=at.microsecond // 1000 * 1000)
    assert datetime.fromisoformat(message["expires_at"]) == to_the_millisecond


async def test_no_code_number_or_variable_stands_in_clear_in_redis(api: Api) -> None:
    sent = otp(
        otp_code="917382", variables={"ho_ten": "Nguyễn Văn A"}, metadata={"k": "geheim"}, reference="login-8841",
        callback_url="https://checkout.internal/otp?t=1",
    )  # fmt: skip
    assert (await api.post(sent, key="a-key")).status_code == 202
    kept = b""
    for key in await api.keys():
        kept += key + await api.redis_says("DUMP", key)
    for secret in ("917382", "901234567", "Nguyễn", "geheim", "checkout.internal/otp", "login-8841"):
        assert secret.encode() not in kept


async def test_the_trace_is_kept_if_it_is_well_formed_and_else_ignored(api: Api) -> None:
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for trace, kept in ((good, good.encode()), ("00-0-0-01", None), (good.replace("00-4", "ff-4"), None)):
        answer = await api.ask("POST", "/v1/messages", json=otp(), headers={"traceparent": trace})
        assert await api.redis_says("HGET", f"relay:{{0}}:m:{answer.json()['id']}", "tp") == kept
