"""Events and callbacks: the list to catch up from, deliveries by state, and sending again."""

from __future__ import annotations

import pytest

from app.message import CallbackState
from tests.api.desk import NUMBER, Api, assert_problem, pointers

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOT_CURSORS = ("x", "-1", "1-", "1--1", "9" * 30, "9" * 5000, "1-2-3", "1-x", "1_0", "1%0A", "٣", " 1", "")


async def test_events_are_listed_in_the_order_made_and_read_on_from_the_cursor(api: Api) -> None:
    made = [(await api.cancelled())["event"] for _ in range(3)]
    first = (await api.get("/v1/events", limit=2)).json()
    assert [one["id"] for one in first["data"]] == made[:2]
    assert first["data"][0]["type"] == "message.cancelled"
    assert first["data"][0]["data"]["phone_number"] == NUMBER
    rest = (await api.get("/v1/events", after=first["next_cursor"])).json()
    assert [one["id"] for one in rest["data"]] == made[2:]
    end = (await api.get("/v1/events", after=rest["next_cursor"])).json()
    assert end == {"data": [], "next_cursor": rest["next_cursor"]}
    newer = (await api.cancelled())["event"]
    later = (await api.get("/v1/events", after=end["next_cursor"])).json()
    assert [one["id"] for one in later["data"]] == [newer]


async def test_events_whose_records_are_gone_block_no_consumer(api: Api) -> None:
    ids = [(await api.cancelled())["id"] for _ in range(5)]
    for one in ids[:4]:
        await api.redis_says("DEL", f"relay:{{0}}:m:{one}")
    found = (await api.get("/v1/events", limit=2)).json()
    assert [event["data"]["id"] for event in found["data"]] == ids[4:]


@pytest.mark.parametrize("asked", (
    "/v1/events?after=", "/v1/callbacks?cursor=", "/v1/callbacks?state=delivered&cursor=",
    "/v1/messages?reference=r&cursor=",
))  # fmt: skip
async def test_a_cursor_that_is_none_of_ours_is_a_422(api: Api, asked: str) -> None:
    for cursor in NOT_CURSORS:
        document = assert_problem(await api.ask("GET", asked + cursor), 422, "invalid-request")
        assert len(document["errors"]) == 1


@pytest.mark.parametrize(
    "query", ("limit=0", "limit=1001", "limit=00000000010000", "after=1-0&after=2-0", "since=1")
)
async def test_events_asked_for_wrongly_are_a_422(api: Api, query: str) -> None:
    assert_problem(await api.ask("GET", f"/v1/events?{query}"), 422, "invalid-request")


@pytest.mark.parametrize(
    "query", ("limit=0", "limit=101", "state=none", "state=Dead", "state=dead&state=dead")
)
async def test_callbacks_asked_for_wrongly_are_a_422(api: Api, query: str) -> None:
    assert_problem(await api.ask("GET", f"/v1/callbacks?{query}"), 422, "invalid-request")


async def _pages(api: Api, state: str, limit: int) -> list[str]:
    found: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(20):
        page = (await api.get("/v1/callbacks", state=state, limit=limit, **cursor)).json()
        assert {one["state"] for one in page["data"]} <= {state}
        found += [one["event_id"] for one in page["data"]]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}
    raise AssertionError("the pages never end")


@pytest.mark.parametrize("state", ("pending", "delivered", "dead"))
async def test_deliveries_of_a_state_are_paged_newest_first(api: Api, state: str) -> None:
    made = [(await api.cancelled())["event"] for _ in range(5)]
    if state != "pending":
        for _ in made:
            await api.deliver(state)
    for limit in (1, 2, 100):
        assert await _pages(api, state, limit) == made[::-1]
    for other in {"pending", "delivered", "dead"} - {state}:
        assert await _pages(api, other, 100) == []


async def test_deliveries_of_one_moment_are_paged_without_repeating(api: Api) -> None:
    made = [(await api.cancelled())["event"] for _ in range(5)]
    for _ in made:
        await api.deliver("delivered")
    stream = "relay:{0}:events:checkout"
    entries = await api.redis_says("XRANGE", stream, "-", "+")
    await api.redis_says("DEL", stream)
    for n, (_, fields) in enumerate(entries):
        await api.redis_says("XADD", stream, f"1795557526819-{n}", *fields)
    assert await _pages(api, "delivered", 1) == made[::-1]


async def test_all_dead_are_met_also_when_each_page_is_sent_again_before_the_next(api: Api) -> None:
    made = [(await api.cancelled())["event"] for _ in range(5)]
    await api.deliver("dead")
    met: list[str] = []
    cursor: dict[str, str] = {}
    while len(met) < 10:
        page = (await api.get("/v1/callbacks", limit=2, **cursor)).json()
        for one in page["data"]:
            met.append(one["event_id"])
            assert (await api.ask("POST", f"/v1/callbacks/{one['event_id']}/replay")).status_code == 202
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(met) == sorted(made)


async def test_a_dead_delivery_says_why_and_waits_again_once_it_is_replayed(api: Api) -> None:
    message = await api.cancelled()
    await api.deliver("dead")
    (dead,) = (await api.get("/v1/callbacks")).json()["data"]
    assert (dead["event_id"], dead["message_id"]) == (message["event"], message["id"])
    assert (dead["last_status"], dead["last_error"], dead["attempts"]) == (500, "said no", 1)
    for _ in range(2):
        answer = await api.ask("POST", f"/v1/callbacks/{message['event']}/replay")
        assert (answer.status_code, answer.json()) == (202, {"status": "queued"})
    assert await api.in_state(CallbackState.DEAD) == []
    assert await api.in_state(CallbackState.PENDING) == [message["event"]]
    (again,) = await api.deliver("delivered")
    assert again.event_id == message["event"]


async def test_what_names_no_callback_cannot_be_replayed_and_what_is_not_there_neither(api: Api) -> None:
    message = await api.cancelled(of="notices", campaign="order-notice", otp_code=None)
    assert message["callback_url"] is None
    path = f"/v1/callbacks/{message['event']}/replay"
    assert_problem(await api.ask("POST", path, of="notices"), 409, "no-callback")
    assert_problem(await api.ask("POST", "/v1/callbacks/evt_none/replay"), 404, "not-found")


async def test_a_replay_since_a_time_is_handed_to_a_worker(api: Api) -> None:
    for body in (
        {"since": "2026-11-24T00:00:00Z"},
        {"since": "0001-01-01T00:00:00+23:59", "state": "delivered"},
    ):
        answer = await api.post(body, path="/v1/callbacks/replay")
        assert (answer.status_code, answer.json()) == (202, {"status": "queued"})
    assert await api.redis_says("ZCARD", "relay:arq") == 2


@pytest.mark.parametrize(("body", "at"), (
    ({}, ["/since"]), ({"since": 5}, ["/since"]), ({"since": "yesterday", "state": "none"}, ["/since", "/state"]),
    ({"since": "2026-11-24T00:00:00Z", "client": "delivery"}, ["/client"]), ([], [""]),
    ({"since": "yesterday", "state": "x", "more": 1}, ["/more", "/since", "/state"]),
))  # fmt: skip
async def test_a_replay_asked_for_wrongly_names_its_faults_and_asks_no_worker(
    api: Api, body: object, at: list[str]
) -> None:
    before = await api.keys()
    answer = await api.post(body, path="/v1/callbacks/replay")
    document = assert_problem(answer, 422, "invalid-request")
    assert pointers(document) == at
    assert await api.keys() == before


async def test_campaigns_are_the_clients_own_with_its_own_figures(api: Api) -> None:
    oldest = await api.sent()
    await api.sent()
    (login, notice) = (await api.get("/v1/campaigns")).json()["data"]
    assert login == {
        "name": "login-otp", "kind": "voice_otp", "state": "running", "reason": None, "queued": 2,
        "oldest_queued_at": oldest["accepted_at"],
    }  # fmt: skip
    assert (notice["name"], notice["queued"], notice["oldest_queued_at"]) == ("order-notice", 0, None)
    theirs = (await api.get("/v1/campaigns", of="notices")).json()["data"]
    assert [one["name"] for one in theirs] == ["order-notice"]
