"""Redis away: 503 and nothing accepted, and everything as before once it is back."""

from __future__ import annotations

import asyncio

from tests.api.desk import UNDER_V1, Caller, assert_problem, config_of, open_api, open_caller, otp
from tests.servers import ValkeyServer

BATCH = {"messages": [otp(), otp(phone_number="0901234568")]}
BODIES = {
    "/v1/messages": otp(),
    "/v1/messages/batch": BATCH,
    "/v1/callbacks/replay": {"since": "2026-11-24T00:00:00Z"},
}


async def test_without_redis_everything_is_a_503_and_with_it_again_messages_are_taken(
    own_redis: ValkeyServer,
) -> None:
    async with open_api(own_redis.url) as api:
        message = await api.sent()
        own_redis.kill()
        for method, path in UNDER_V1:
            refused = await api.ask(method, path, json=BODIES.get(path), headers={"idempotency-key": "k"})
            assert_problem(refused, 503, "unavailable")
            assert refused.headers["retry-after"] == "1"
        await _assert_not_ready(api)
        own_redis.start()
        await api.until_ready()
        assert (await api.post(otp(), key="k")).status_code == 202
        assert (await api.get(f"/v1/messages/{message['id']}")).json()["state"] == "queued"


async def _assert_not_ready(api: Caller) -> None:
    ready = await api.ask("GET", "/readyz", of=None)
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert (await api.ask("GET", "/livez", of=None)).status_code == 200
    assert (await api.ask("GET", "/metrics", of=None)).status_code == 200
    assert_problem(await api.ask("GET", "/v1/messages/msg_1", of=None), 401, "unauthorized")


async def test_the_api_starts_without_redis_and_accepts_when_it_comes(own_redis: ValkeyServer) -> None:
    own_redis.kill()
    async with open_caller(config_of(own_redis.url)) as api:
        assert_problem(await api.post(otp()), 503, "unavailable")
        assert_problem(await api.post(BATCH, path="/v1/messages/batch"), 503, "unavailable")
        assert (await api.ask("GET", "/metrics", of=None)).status_code == 200
        own_redis.start()
        await api.until_ready()
        assert (await api.post(otp())).status_code == 202


async def test_a_frozen_redis_tells_what_was_sent_from_what_was_not(own_redis: ValkeyServer) -> None:
    async with open_api(own_redis.url) as api:
        await api.sent()
        own_redis.freeze()
        first = asyncio.create_task(api.post(otp()))
        await asyncio.sleep(0.1)
        later = [asyncio.create_task(api.post(otp())) for _ in range(5)]
        async with asyncio.timeout(9):
            answers = [await asked for asked in (first, *later)]
        own_redis.thaw()
        unknown = assert_problem(answers[0], 503, "outcome-unknown")
        for answer in answers[1:]:
            assert_problem(answer, 503, "unavailable")
        assert {answer.headers["retry-after"] for answer in answers} == {"1"}
        await api.until_ready()
        assert (await api.get(f"/v1/messages/{unknown['id']}")).status_code == 200
