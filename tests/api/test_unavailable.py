"""Redis away: 503 and nothing accepted, and everything as before once it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.api.caller import Api, body, open_api
from tests.servers import ValkeyServer, valkey_server


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    with valkey_server() as server:
        yield server


async def _until_ready(api: Api) -> None:
    async with asyncio.timeout(10):
        while (await api.ask("GET", "/readyz", key=None)).status_code != 200:  # noqa: ASYNC110  it tells no other way
            await asyncio.sleep(0.1)


async def test_redis_killed_gets_503_and_redis_back_gets_202(own_valkey: ValkeyServer) -> None:
    async with open_api(own_valkey.url) as api:
        kept = await api.accepted()
        own_valkey.kill()
        for method, path in (
            ("GET", f"/v1/messages/{kept['id']}"), ("GET", "/v1/campaigns"), ("GET", "/v1/events"),
            ("GET", "/v1/callbacks?state=dead"), ("POST", "/v1/callbacks/evt_x/replay"),
            ("DELETE", f"/v1/messages/{kept['id']}"), ("GET", "/v1/messages?reference=x"),
        ):  # fmt: skip
            answer = await api.ask(method, path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), path
        refused = await api.send(body(), idempotency_key="k")
        assert refused.json()["type"].rpartition("/")[2] in ("unavailable", "outcome-unknown")
        assert (await api.ask("GET", "/readyz", key=None)).status_code == 503
        assert (await api.ask("GET", "/livez", key=None)).status_code == 200
        own_valkey.start()
        await _until_ready(api)
        assert (await api.send(body(), idempotency_key="k")).status_code == 202
        assert (await api.ask("GET", f"/v1/messages/{kept['id']}")).status_code == 200


async def test_the_api_starts_without_redis_and_accepts_when_it_comes(own_valkey: ValkeyServer) -> None:
    own_valkey.kill()
    async with open_api(own_valkey.url) as api:
        assert (await api.send(body())).json()["type"].endswith("/unavailable")
        assert (await api.ask("GET", "/metrics", key=None)).status_code == 200
        own_valkey.start()
        await _until_ready(api)
        assert (await api.send(body())).status_code == 202


async def test_a_frozen_redis_tells_what_was_sent_from_what_was_not(own_valkey: ValkeyServer) -> None:
    async with open_api(own_valkey.url) as api:
        assert (await api.send(body())).status_code == 202
        own_valkey.freeze()
        first = asyncio.create_task(api.send(body()))
        await asyncio.sleep(0.1)
        later = [asyncio.create_task(api.send(body())) for _ in range(5)]
        async with asyncio.timeout(9):
            answers = [await asked for asked in (first, *later)]
        own_valkey.thaw()
        told = [answer.json() for answer in answers]
        assert [one["type"].rpartition("/")[2] for one in told] == ["outcome-unknown"] + ["unavailable"] * 5
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(503, "1")}
        await _until_ready(api)
        assert (await api.ask("GET", f"/v1/messages/{told[0]['id']}")).status_code == 200


async def test_a_batch_of_which_nothing_was_accepted_is_refused_as_a_whole(own_valkey: ValkeyServer) -> None:
    own_valkey.kill()
    async with open_api(own_valkey.url) as api:
        answer = await api.ask("POST", "/v1/messages/batch", json={"messages": [body(), body()]})
    assert answer.status_code == 503
    assert answer.json()["type"].endswith("/unavailable")
