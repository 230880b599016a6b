"""What needs no key, and how the API bears a Redis that goes and comes."""

from __future__ import annotations

import asyncio
import re

import pytest

from app.main import ROUTES
from tests.http.desk import CODE, Api, Json, assert_problem, open_api, otp
from tests.servers import valkey_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = {"/openapi.json", "/docs", "/docs/{name}"}


async def test_what_watches_the_service_needs_no_key(api: Api) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json", "/docs"):
        assert (await api.ask("GET", path, of=None)).status_code == 200
    assert (await api.ask("GET", "/readyz", of=None)).json() == {
        "status": "ready",
        "redis": "ok",
        "notes": [],
    }


async def test_metrics_count_by_client_and_campaign_and_hold_no_code(api: Api) -> None:
    await api.sent()
    await api.post(otp(expires_in=1))
    answer = await api.ask("GET", "/metrics", of=None)
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'relay_messages_accepted_total{campaign="login-otp",client="checkout"}' in answer.text
    assert 'relay_queue_depth{campaign="login-otp"} 1.0' in answer.text
    assert CODE not in answer.text


async def _document(api: Api) -> Json:
    document: Json = (await api.ask("GET", "/openapi.json", of=None)).json()
    return document


async def test_the_document_describes_every_route_there_is(api: Api) -> None:
    there = {
        (method.lower(), re.sub(r":\w+}", "}", path))
        for route in ROUTES
        for path in route.paths
        for method in route.http_methods
    }
    described = {(method, path) for path, item in (await _document(api))["paths"].items() for method in item}
    assert described == {(method, path) for method, path in there if path not in PAGES}


async def test_every_answer_and_body_of_the_document_has_an_example(api: Api) -> None:
    for path, item in (await _document(api))["paths"].items():
        for method, operation in item.items():
            for status, answer in operation["responses"].items():
                for media in answer.get("content", {}).values():
                    assert media.get("example") or media.get("examples"), (method, path, status)
            if method == "post" and "{" not in path:
                assert operation["requestBody"]["content"]["application/json"]["example"]


@pytest.mark.parametrize(("method", "path", "statuses"), (
    ("post", "/v1/messages", {202, 400, 401, 403, 413, 415, 422, 429, 503}),
    ("post", "/v1/messages/batch", {202, 400, 401, 413, 415, 422, 503}),
    ("get", "/v1/messages/{message_id}", {200, 401, 404, 422, 503}),
    ("get", "/v1/messages", {200, 401, 422, 503}),
    ("delete", "/v1/messages/{message_id}", {200, 401, 404, 409, 503}),
    ("get", "/v1/campaigns", {200, 401, 422, 503}), ("get", "/v1/events", {200, 401, 422, 503}),
    ("get", "/v1/callbacks", {200, 401, 422, 503}),
    ("post", "/v1/callbacks/{event_id}/replay", {202, 401, 404, 409, 503}),
    ("post", "/v1/callbacks/replay", {202, 400, 401, 413, 415, 422, 503}),
    ("get", "/readyz", {200, 503}),
))  # fmt: skip
async def test_the_document_names_every_status_of_an_operation(
    api: Api, method: str, path: str, statuses: set[int]
) -> None:
    responses = (await _document(api))["paths"][path][method]["responses"]
    assert {int(status) for status in responses} == statuses
    for status in statuses - {200, 202}:
        media_type = "application/json" if path == "/readyz" else "application/problem+json"
        assert list(responses[str(status)]["content"]) == [media_type]


async def test_the_examples_of_the_document_are_taken(api: Api) -> None:
    paths = (await _document(api))["paths"]
    body = paths["/v1/messages"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert (await api.post({**body, "callback_url": "http://127.0.0.1:9/x"})).status_code == 202
    body = paths["/v1/callbacks/replay"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert (await api.post(body, path="/v1/callbacks/replay")).status_code == 202


async def test_the_page_of_the_document_loads_nothing_from_elsewhere(api: Api) -> None:
    page = await api.ask("GET", "/docs", of=None)
    assert "//" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    for path in loaded:
        asset = await api.ask("GET", path, of=None)
        assert asset.status_code == 200
        assert asset.content


async def test_without_redis_everything_is_a_503_and_with_it_again_messages_are_taken() -> None:
    with valkey_server() as redis:
        async with open_api(redis.url) as api:
            message = await api.sent()
            redis.kill()
            for method, path in (
                ("GET", f"/v1/messages/{message['id']}"), ("DELETE", f"/v1/messages/{message['id']}"),
                ("GET", "/v1/messages?reference=r"), ("GET", "/v1/campaigns"), ("GET", "/v1/events"),
                ("GET", "/v1/callbacks"), ("POST", "/v1/callbacks/evt_1/replay"),
            ):  # fmt: skip
                refused = await api.ask(method, path)
                assert_problem(refused, 503, "unavailable")
                assert int(refused.headers["retry-after"]) >= 1
            assert_problem(await api.post(otp(), key="k"), 503, "unavailable")
            replay = {"since": "2026-11-24T00:00:00Z"}
            assert_problem(await api.post(replay, path="/v1/callbacks/replay"), 503, "unavailable")
            batch = await api.post({"messages": [otp()]}, path="/v1/messages/batch")
            told = batch.json()
            assert [one["status"] for one in told.get("results", [told])] == [503]
            await _assert_not_ready(api)
            redis.start()
            async with asyncio.timeout(10):
                while (await api.post(otp(), key="k")).status_code != 202:  # noqa: ASYNC110  it tells no other way
                    await asyncio.sleep(0.05)
            assert (await api.ask("GET", "/readyz", of=None)).status_code == 200
            assert (await api.get(f"/v1/messages/{message['id']}")).json()["state"] == "queued"


async def _assert_not_ready(api: Api) -> None:
    ready = await api.ask("GET", "/readyz", of=None)
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert (await api.ask("GET", "/livez", of=None)).status_code == 200
    assert (await api.ask("GET", "/metrics", of=None)).status_code == 200
    assert_problem(await api.ask("GET", "/v1/messages/msg_1", of=None), 401, "unauthorized")
