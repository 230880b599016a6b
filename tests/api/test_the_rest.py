"""Campaigns, events, callbacks, health, metrics, and the document that describes them all."""

from __future__ import annotations

import re
from typing import Any

import pytest
from litestar import Litestar

from app.api.problems import KINDS
from app.main import create_app
from tests.api.caller import CODE, SHOP, Api, body, config

UNDOCUMENTED = {"/docs", "/docs/{name:str}", "/openapi.json"}


async def test_campaigns_are_those_of_the_client_with_its_own_figures(api: Api) -> None:
    message = await api.accepted()
    own = {one["name"]: one for one in (await api.ask("GET", "/v1/campaigns")).json()["data"]}
    assert set(own) == {"login-otp", "order-notice"}
    assert own["login-otp"] == {
        "name": "login-otp", "kind": "voice_otp", "state": "running", "reason": None, "queued": 1,
        "oldest_queued_at": message["accepted_at"],
    }  # fmt: skip
    others = (await api.ask("GET", "/v1/campaigns", key=SHOP)).json()["data"]
    assert [(one["name"], one["queued"]) for one in others] == [("login-otp", 0)]


async def test_events_come_in_order_from_a_cursor_on_and_to_their_client_alone(api: Api) -> None:
    ids = [(await api.accepted())["id"] for _ in range(5)]
    for one in ids:
        await api.ask("DELETE", f"/v1/messages/{one}")
    first = (await api.ask("GET", "/v1/events?limit=3")).json()
    rest = (await api.ask("GET", f"/v1/events?after={first['next_cursor']}")).json()
    assert [event["data"]["id"] for event in first["data"] + rest["data"]] == ids
    assert first["data"][0]["type"] == "message.cancelled"
    end = (await api.ask("GET", f"/v1/events?after={rest['next_cursor']}")).json()
    assert end == {"data": [], "next_cursor": rest["next_cursor"]}
    assert (await api.ask("GET", "/v1/events", key=SHOP)).json()["data"] == []


async def test_events_whose_records_are_gone_block_no_consumer(api: Api, redis: Any) -> None:
    ids = [(await api.accepted())["id"] for _ in range(5)]
    for one in ids:
        await api.ask("DELETE", f"/v1/messages/{one}")
    for one in ids[:4]:
        await redis.delete(f"relay:{{0}}:m:{one}")
    found = (await api.ask("GET", "/v1/events?limit=2")).json()
    assert [event["data"]["id"] for event in found["data"]] == ids[4:]


async def test_a_delivery_is_listed_by_state_and_replayed_by_its_client_alone(api: Api, redis: Any) -> None:
    message = await api.accepted()
    await api.ask("DELETE", f"/v1/messages/{message['id']}")
    pending = (await api.ask("GET", "/v1/callbacks?state=pending")).json()["data"]
    assert [one["message_id"] for one in pending] == [message["id"]]
    path = f"/v1/callbacks/{pending[0]['event_id']}/replay"
    assert (await api.ask("POST", path)).status_code == 202
    assert (await api.ask("POST", path, key=SHOP)).status_code == 404
    assert (await api.ask("GET", "/v1/callbacks?state=pending", key=SHOP)).json()["data"] == []
    assert (await api.ask("GET", "/v1/callbacks?state=none")).status_code == 422


async def test_delivered_events_of_one_moment_are_paged_without_repeating(api: Api, redis: Any) -> None:
    ids = [(await api.accepted())["id"] for _ in range(5)]
    for one in ids:
        await api.ask("DELETE", f"/v1/messages/{one}")
    entries = await redis.xrange("relay:{0}:events:checkout")
    await redis.delete("relay:{0}:events:checkout")
    for n, (_, fields) in enumerate(entries):
        await redis.hset("relay:{0}:e:" + fields[b"e"].decode(), "st", "delivered")
        await redis.xadd("relay:{0}:events:checkout", fields, id=f"1795557526819-{n}")
    seen: list[str] = []
    cursor = ""
    for _ in range(6):
        page = (await api.ask("GET", f"/v1/callbacks?state=delivered&limit=1{cursor}")).json()
        seen += [one["message_id"] for one in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ids[::-1]


@pytest.mark.parametrize(
    "query",
    ("callbacks?cursor=-1", "callbacks?cursor=1%0A", "callbacks?state=delivered&cursor=x", "events?after=1_0",
     "events?after=1-x", "events?limit=1001"),
)  # fmt: skip
async def test_a_cursor_or_limit_that_is_not_ours_is_refused(api: Api, query: str) -> None:
    assert (await api.ask("GET", f"/v1/{query}")).status_code == 422


async def test_a_replay_since_a_time_is_handed_to_the_workers(api: Api, redis: Any) -> None:
    answer = await api.ask("POST", "/v1/callbacks/replay", json={"since": "2026-11-24T00:00:00Z"})
    assert answer.status_code == 202
    assert await redis.zcard("relay:arq") == 1


async def test_an_event_of_a_message_without_a_callback_cannot_be_replayed(api: Api) -> None:
    message = await api.accepted(callback_url=None)
    await api.ask("DELETE", f"/v1/messages/{message['id']}")
    event = (await api.ask("GET", "/v1/events")).json()["data"][0]["id"]
    answer = await api.ask("POST", f"/v1/callbacks/{event}/replay")
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "no-callback")


async def test_readyz_tells_in_words_what_is_held(api: Api, redis: Any) -> None:
    await redis.hset("relay:{0}:hold:login-otp", mapping={"reason": "campaign_stopped", "next": "1"})
    answer = await api.ask("GET", "/readyz", key=None)
    assert answer.status_code == 200
    assert "campaign login-otp is held: campaign_stopped" in answer.json()["notes"]


async def test_metrics_count_what_was_accepted_refused_and_waits(api: Api) -> None:
    await api.accepted()
    await api.send(body(otp_code="x"))
    text = (await api.ask("GET", "/metrics", key=None)).text
    assert 'relay_messages_accepted_total{campaign="login-otp",client="checkout"} 1.0' in text
    assert 'relay_requests_refused_total{status="422",type="invalid-request"} 1.0' in text
    assert 'relay_queue_depth{campaign="login-otp"} 1.0' in text
    assert CODE not in text


def _application() -> Litestar:
    return create_app(config("redis://localhost:1/0"))


async def test_the_document_lists_every_route(api: Api) -> None:
    document = (await api.ask("GET", "/openapi.json", key=None)).json()
    routes = {
        (route.path.replace(":str", ""), method.lower())
        for route in _application().routes
        if route.path not in UNDOCUMENTED
        for method in getattr(route, "methods", ())
        if method != "OPTIONS"
    }
    described = {(path, method) for path, item in document["paths"].items() for method in item}
    assert described == routes


async def test_the_document_lists_each_kind_of_problem_that_is_an_operations_own(api: Api) -> None:
    text = (await api.ask("GET", "/openapi.json", key=None)).text
    told = set(re.findall(r"/problems/([a-z-]+)", text))
    assert {kind.slug for kind in KINDS} - told == {"bad-request", "internal-error", "method-not-allowed"}


async def test_the_page_of_the_document_loads_nothing_from_elsewhere(api: Api) -> None:
    page = await api.ask("GET", "/docs", key=None)
    assert page.status_code == 200
    assert "://" not in page.text
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    for asset in assets:
        assert (await api.ask("GET", asset, key=None)).status_code == 200, asset


@pytest.mark.parametrize("path", ("/livez", "/readyz", "/metrics", "/openapi.json", "/docs"))
async def test_what_needs_no_key_is_answered_without_one(api: Api, path: str) -> None:
    assert (await api.ask("GET", path, key=None)).status_code == 200
