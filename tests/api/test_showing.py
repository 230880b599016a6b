"""Show, wait, list and cancel; and that one client never meets another's message."""

from __future__ import annotations

import asyncio
import time
from typing import cast

import pytest
from litestar.types import HTTPReceiveMessage, HTTPScope

from tests.api.desk import KEYS, NUMBER, Api, Json, assert_problem, otp

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_message_is_shown_with_its_history(api: Api) -> None:
    message = await api.sent()
    shown = (await api.get(f"/v1/messages/{message['id']}")).json()
    assert shown == message | {
        "timeline": [{"at": message["accepted_at"], "event": "accepted", "detail": ""}],
        "callbacks": [],
        "callback": shown["callback"],
    }
    assert shown["callback"]["state"] == "none"


async def test_a_wait_ends_when_another_request_makes_the_message_final(api: Api) -> None:
    message = await api.sent()
    path = f"/v1/messages/{message['id']}"
    waits = [asyncio.create_task(api.get(path, wait=20)) for _ in range(20)]
    done, _ = await asyncio.wait(waits, timeout=0.3)  # a wait that has begun shows nowhere
    assert not done
    began = time.monotonic()
    await api.ask("DELETE", path)
    answers = await asyncio.gather(*waits)
    assert time.monotonic() - began < 2
    assert {one.json()["state"] for one in answers} == {"cancelled"}
    assert answers[0].json()["callback"]["type"] == "message.cancelled"
    assert (await api.get(path, wait=20)).json()["state"] == "cancelled"


async def test_a_wait_in_vain_gives_the_message_as_it_is(api: Api) -> None:
    message = await api.sent()
    began = time.monotonic()
    answer = await api.get(f"/v1/messages/{message['id']}", wait=1)
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")
    assert 0.9 < time.monotonic() - began < 3


async def test_a_caller_that_hangs_up_waits_no_longer(api: Api) -> None:
    path = f"/v1/messages/{(await api.sent())['id']}"
    asked, answered = asyncio.Event(), asyncio.Event()

    async def receive() -> HTTPReceiveMessage:
        if asked.is_set():
            return {"type": "http.disconnect"}
        asked.set()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: object) -> None:
        answered.set()

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"wait=30", "root_path": "", "server": None,
        "client": None, "headers": [(b"authorization", f"Bearer {KEYS['checkout']}".encode())],
    }  # fmt: skip
    await asyncio.wait_for(api.app(cast("HTTPScope", scope), receive, send), 5)
    assert answered.is_set()


@pytest.mark.parametrize("query", (
    "wait=61", "wait=-1", "wait=1.5", "wait=x", "wait=", "wait=1&wait=2", "wait=٣", "wait=0000000000000000099",
    "wait=１", "held=1",
))  # fmt: skip
async def test_a_wait_out_of_its_bounds_is_a_422(api: Api, query: str) -> None:
    message = await api.sent()
    async with asyncio.timeout(3):
        assert_problem(await api.ask("GET", f"/v1/messages/{message['id']}?{query}"), 422, "invalid-request")


async def _pages(api: Api, path: str, **params: str | int) -> list[list[Json]]:
    pages: list[list[Json]] = []
    cursor: Json = {}
    while cursor.get("cursor", "") is not None:
        assert len(pages) < 20
        page = (await api.ask("GET", path, params={**params, **cursor})).json()
        pages.append(page["data"])
        cursor = {"cursor": page["next_cursor"]}
    return pages


@pytest.mark.parametrize(
    "by", ({"reference": "r 1&ü"}, {"phone_number": "+84901234567"}, {"phone_number": "0901.234.567"})
)
async def test_a_list_is_newest_first_and_its_pages_show_each_message_once(
    api: Api, by: dict[str, str]
) -> None:
    sent = [(await api.sent(reference="r 1&ü"))["id"] for _ in range(5)]
    await api.sent(phone_number="0901234568", reference="another")
    pages = await _pages(api, "/v1/messages", **by, limit=2)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [one["id"] for page in pages for one in page] == sent[::-1]


async def test_a_list_of_many_of_one_moment_is_whole(api: Api) -> None:
    items = [otp(reference="r", phone_number=f"090123{n:04}") for n in range(70)]
    answer = (await api.post({"messages": items}, path="/v1/messages/batch")).json()
    sent = [one["message"] for one in answer["results"]]
    (index,) = [key for key in await api.keys() if b":by_reference:" in key]
    moment = [part for one in sent for part in (1_700_000_000_000, one["id"])]
    await api.redis_says("ZADD", index, *moment)
    listed = [one["id"] for page in await _pages(api, "/v1/messages", reference="r", limit=5) for one in page]
    assert listed == sorted((one["id"] for one in sent), reverse=True)


@pytest.mark.parametrize("query", (
    "", "reference=a&phone_number=0901234567", "reference=a&limit=0", "reference=a&limit=101", "reference=a&limit=1e1",
    "reference=a&limit=x", "reference=a&limit=" + "1" * 20, "reference=a&cursor=1%0A", "phone_number=12",
    "reference=a&limit=0000000010000", "reference=a&cursor=x", "reference=a&cursor=-1-msg_a", "phone_number=abc",
    "reference=a&reference=b", "phone_number=%2B12025550123", "reference=a&order=asc",
))  # fmt: skip
async def test_a_list_asked_for_wrongly_is_a_422(api: Api, query: str) -> None:
    assert_problem(await api.ask("GET", f"/v1/messages?{query}"), 422, "invalid-request")


async def test_a_queued_message_is_cancelled_once_and_stays_so(api: Api) -> None:
    path = f"/v1/messages/{(await api.sent())['id']}"
    first, again = await api.ask("DELETE", path), await api.ask("DELETE", path)
    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    assert (first.json()["state"], first.json()["reason"], first.json()["revision"]) == (
        "cancelled",
        "requested",
        2,
    )


async def test_a_message_on_its_way_is_a_409_and_one_that_is_not_there_a_404(api: Api) -> None:
    message = await api.sent()
    await api.lease("login-otp")
    before = await api.keys()
    for state in ("submitting", "submitted"):
        await api.redis_says("HSET", f"relay:{{0}}:m:{message['id']}", "s", state)
        assert_problem(await api.ask("DELETE", f"/v1/messages/{message['id']}"), 409, "not-cancellable")
    assert_problem(await api.ask("DELETE", "/v1/messages/msg_none"), 404, "not-found")
    assert await api.keys() == before


async def test_another_clients_message_is_as_none(api: Api) -> None:
    ours, event = (await api.cancelled(reference="shared"))["id"], (await api.cancelled())["event"]
    queued = (await api.sent(reference="shared"))["id"]
    await api.deliver("dead")
    for method, path in (
        ("GET", f"/v1/messages/{ours}"), ("DELETE", f"/v1/messages/{queued}"), ("DELETE", f"/v1/messages/{ours}"),
        ("GET", f"/v1/messages/{queued}?wait=5"), ("POST", f"/v1/callbacks/{event}/replay"),
    ):  # fmt: skip
        refused = await api.ask(method, path, of="delivery")
        assert_problem(refused, 404, "not-found")
        assert refused.content == (await api.ask("GET", "/v1/messages/msg_none")).content
    for path in ("/v1/messages?reference=shared", "/v1/messages?phone_number=0901234567", "/v1/events",
                 "/v1/callbacks", "/v1/callbacks?state=pending"):  # fmt: skip
        assert (await api.ask("GET", path, of="delivery")).json()["data"] == []
    theirs = (await api.get("/v1/campaigns", of="delivery")).json()["data"]
    assert [one["queued"] for one in theirs] == [0, 0]
    assert (await api.get(f"/v1/messages/{queued}")).json()["state"] == "queued"
    assert NUMBER[-9:] not in str(theirs)
