"""Sending, showing, listing and cancelling, as a caller sees them."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.caller import CHECKOUT, CODE, SHOP, SLOW, Api, body


async def test_a_message_is_accepted_and_shown_as_the_contract_says(api: Api) -> None:
    answer = await api.send(body())
    message = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/messages/{message['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert list(message) == [
        "id", "campaign", "state", "reason", "phone_number", "reference", "metadata", "callback_url",
        "accepted_at", "expires_at", "submitted_at", "finished_at", "call", "revision",
    ]  # fmt: skip
    assert (message["state"], message["phone_number"], message["revision"]) == ("queued", "+84901234567", 1)
    assert message["metadata"] == {"session": "c0ffee"}
    shown = (await api.ask("GET", answer.headers["location"])).json()
    assert shown == message | {
        "timeline": [{"at": message["accepted_at"], "event": "accepted", "detail": ""}],
        "callbacks": [],
        "callback": shown["callback"],
    }
    assert shown["callback"]["state"] == "none"


async def test_no_code_number_or_variable_stands_in_clear_in_redis(api: Api, redis: Any) -> None:
    await api.send(body(otp_code="917382", metadata={"k": "geheim"}), idempotency_key="a-key")
    kept = b""
    for key in await redis.keys("*"):
        kept += key + await redis.dump(key)
    for secret in (
        b"917382",
        b"901234567",
        "Nguyễn".encode(),
        b"geheim",
        b"checkout.internal/otp",
        b"login-8841",
    ):
        assert secret not in kept


async def test_a_client_with_one_campaign_may_leave_it_out_and_has_its_own_callback(api: Api) -> None:
    answer = await api.send(body(campaign=None, callback_url=None), key=SHOP)
    assert (answer.json()["campaign"], answer.json()["callback_url"]) == (
        "login-otp",
        "https://shop.internal/otp",
    )


async def test_an_expiry_may_be_a_time(api: Api) -> None:
    at = datetime.now(UTC) + timedelta(minutes=5)
    message = await api.accepted(expires_in=None, expires_at=at.astimezone().isoformat())
    assert datetime.fromisoformat(message["expires_at"]) == at.replace(
        microsecond=at.microsecond // 1000 * 1000
    )


async def test_forty_equal_requests_at_once_make_one_message_and_39_replays_byte_for_byte(
    api: Api, redis: Any
) -> None:
    answers = await asyncio.gather(*(api.send(body(), idempotency_key="once") for _ in range(40)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert sum(answer.headers.get("idempotency-replayed") == "true" for answer in answers) == 39
    assert len(await redis.keys("relay:{0}:m:*")) == 1


async def test_a_replay_is_the_first_answer_also_when_the_message_moved_on(api: Api) -> None:
    first = await api.send(body(), idempotency_key="k")
    await api.ask("DELETE", first.headers["location"])
    again = await api.send(dict(reversed(body().items())), idempotency_key="k")
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]


async def test_a_replay_uses_no_limit_and_is_no_accept_later_than_its_expiry(api: Api) -> None:
    at = (datetime.now(UTC) + timedelta(seconds=5.5)).isoformat()
    sent = body(expires_in=None, expires_at=at, callback_url=None)
    first = await api.send(sent, idempotency_key="k", key=SLOW)
    assert first.status_code == 202
    await asyncio.sleep(0.7)  # until less than 5 seconds are left
    assert (await api.send(sent, key=SLOW)).status_code == 422
    again = await api.send(sent, idempotency_key="k", key=SLOW)
    assert (again.status_code, again.content) == (202, first.content)


async def test_a_key_with_another_body_or_at_another_place_is_422_and_is_each_clients_own(api: Api) -> None:
    await api.send(body(), idempotency_key="k")
    other = await api.send(body(reference="other"), idempotency_key="k")
    assert (other.status_code, other.json()["type"].rpartition("/")[2]) == (422, "idempotency-conflict")
    batch = await api.ask(
        "POST", "/v1/messages/batch", json={"messages": [body()]}, headers={"idempotency-key": "k"}
    )
    assert batch.status_code == 422
    others = await api.send(body(callback_url=None), idempotency_key="k", key=SHOP)
    assert (others.status_code, "idempotency-replayed" in others.headers) == (202, False)


async def test_a_refusal_is_not_remembered_under_its_key(api: Api) -> None:
    assert (await api.send(body(otp_code="x"), idempotency_key="k")).status_code == 422
    assert (await api.send(body(), idempotency_key="k")).status_code == 202


async def test_the_clients_limit_gets_429_with_when_to_come_again(api: Api) -> None:
    sent = body(callback_url=None)
    first = await api.send(sent, key=SLOW)
    assert first.headers["ratelimit-policy"] == '"client";q=1;w=60'
    assert first.headers["ratelimit"].startswith('"client";r=0;t=')
    second = await api.send(sent, key=SLOW)
    assert second.status_code == 429
    assert 1 <= int(second.headers["retry-after"]) <= 60
    assert second.headers["ratelimit"].startswith('"client";r=0;t=')


async def test_the_numbers_limit_and_the_full_queue_have_their_statuses(api: Api) -> None:
    notice = {"campaign": "order-notice", "otp_code": None}
    for _ in range(2):
        await api.accepted(**notice)
    limited = await api.send(body(**notice))
    assert (limited.status_code, limited.headers["ratelimit-policy"]) == (429, '"number";q=2;w=600')
    await api.accepted(**notice, phone_number="0912345678")
    full = await api.send(body(**notice, phone_number="0987654321"))
    assert (full.status_code, full.json()["type"].rpartition("/")[2]) == (503, "unavailable")
    assert int(full.headers["retry-after"]) >= 1


async def test_a_cancel_counts_once_asked_twice_and_is_409_when_too_late(api: Api, redis: Any) -> None:
    path = f"/v1/messages/{(await api.accepted())['id']}"
    for _ in range(2):
        answer = await api.ask("DELETE", path)
        assert (answer.status_code, answer.json()["state"], answer.json()["reason"]) == (
            200,
            "cancelled",
            "requested",
        )
    late = (await api.accepted())["id"]
    await redis.hset(f"relay:{{0}}:m:{late}", "s", "submitted")
    answer = await api.ask("DELETE", f"/v1/messages/{late}")
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "not-cancellable")


async def test_one_client_neither_sees_lists_nor_cancels_anothers_message(api: Api) -> None:
    message = await api.accepted()
    for method in ("GET", "DELETE"):
        answer = await api.ask(method, f"/v1/messages/{message['id']}", key=SHOP)
        unknown = await api.ask(method, "/v1/messages/msg_none", key=SHOP)
        assert (answer.status_code, answer.text) == (404, unknown.text)
    for query in ("reference=login-8841", "phone_number=0901234567"):
        assert (await api.ask("GET", f"/v1/messages?{query}", key=SHOP)).json()["data"] == []
    assert (await api.ask("GET", f"/v1/messages/{message['id']}")).json()["state"] == "queued"


@pytest.mark.parametrize(
    "query", ("reference=login-8841", "phone_number=%2B84901234567", "phone_number=0901.234.567")
)
async def test_a_list_is_newest_first_and_its_pages_hold_each_message_once(api: Api, query: str) -> None:
    sent = [(await api.accepted())["id"] for _ in range(7)]
    await api.accepted(reference="other", phone_number="0912345678")
    seen: list[str] = []
    cursor = ""
    for _ in range(4):
        page = (await api.ask("GET", f"/v1/messages?{query}&limit=2{cursor}")).json()
        seen += [message["id"] for message in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen))
    assert set(seen) == set(sent)


async def test_a_wait_ends_at_once_when_the_message_ends(api: Api) -> None:
    path = f"/v1/messages/{(await api.accepted())['id']}"
    waits = [asyncio.create_task(api.ask("GET", f"{path}?wait=30")) for _ in range(20)]
    await asyncio.sleep(0.3)  # a wait that has begun shows nowhere
    assert not any(wait.done() for wait in waits)
    started = time.monotonic()
    await api.ask("DELETE", path)
    answers = await asyncio.wait_for(asyncio.gather(*waits), 5)
    assert {answer.json()["state"] for answer in answers} == {"cancelled"}
    assert time.monotonic() - started < 1


async def test_a_caller_that_hangs_up_waits_no_longer(api: Api) -> None:
    path = f"/v1/messages/{(await api.accepted())['id']}"
    left = asyncio.Event()
    answered = asyncio.Event()

    async def receive() -> dict[str, object]:
        if left.is_set():
            return {"type": "http.disconnect"}
        left.set()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: dict[str, object]) -> None:
        answered.set()

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"wait=30", "root_path": "", "server": None,
        "client": None, "headers": [(b"authorization", f"Bearer {CHECKOUT}".encode())],
    }  # fmt: skip
    await asyncio.wait_for(api.app(scope, receive, send), 5)
    assert answered.is_set()


async def test_a_wait_that_sees_no_end_answers_after_its_seconds(api: Api) -> None:
    path = f"/v1/messages/{(await api.accepted())['id']}"
    started = time.monotonic()
    answer = await api.ask("GET", f"{path}?wait=1")
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")
    assert 0.9 < time.monotonic() - started < 3


@pytest.mark.parametrize("wait", ("-1", "61", "x", "1.5", "", "１"))
async def test_a_wait_is_a_whole_number_of_seconds_up_to_sixty(api: Api, wait: str) -> None:
    path = f"/v1/messages/{(await api.accepted())['id']}"
    assert (await api.ask("GET", path, params={"wait": wait})).status_code == 422


async def test_the_trace_is_kept_if_it_is_well_formed_and_else_ignored(api: Api, redis: Any) -> None:
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for trace, kept in ((good, good.encode()), ("00-0-0-01", None), (good.replace("00-4", "ff-4"), None)):
        answer = await api.ask("POST", "/v1/messages", json=body(), headers={"traceparent": trace})
        assert await redis.hget(f"relay:{{0}}:m:{answer.json()['id']}", "tp") == kept


async def test_no_answer_shows_the_code_again(api: Api) -> None:
    message = await api.accepted(phone_number="0912 345 678")
    shown = await api.ask("GET", f"/v1/messages/{message['id']}")
    assert CODE not in shown.text
    assert CHECKOUT not in shown.text
