"""Limits: 429 says which, and when there is room again; a full queue is a 503."""

from __future__ import annotations

import re

import pytest

from tests.api.conftest import MakeApi
from tests.api.desk import assert_problem, otp

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = re.compile(r'"(client|number)";q=(\d+);w=(\d+)')
LIMIT = re.compile(r'"(client|number)";r=(\d+);t=(\d+)')


async def test_a_client_past_its_rate_is_a_429_that_says_when_to_come_again(make_api: MakeApi) -> None:
    api = await make_api(checkout='rate_limit = "3/30s"')
    left = []
    for n in range(3):
        answer = await api.post(otp(phone_number=f"090123456{n}"))
        assert answer.headers["ratelimit-policy"] == '"client";q=3;w=30'
        found = LIMIT.fullmatch(answer.headers["ratelimit"])
        assert found is not None
        left.append(found[2])
    assert left == ["2", "1", "0"]
    before = await api.keys()
    refused = await api.post(otp(phone_number="0901234569"), key="k")
    assert_problem(refused, 429, "rate-limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 10
    assert refused.headers["ratelimit-policy"] == '"client";q=3;w=30'
    assert refused.headers["ratelimit"] == f'"client";r=0;t={refused.headers["retry-after"]}'
    assert await api.keys() == before
    assert (await api.post(otp(), of="delivery")).status_code == 202


async def test_a_number_past_its_rate_is_a_429_whoever_asks(make_api: MakeApi) -> None:
    api = await make_api(login_otp='per_number_limit = "2/10m"')
    await api.sent()
    await api.sent(of="delivery", phone_number="+84 90 123 4567")
    before = await api.keys()
    refused = await api.post(otp())
    assert_problem(refused, 429, "rate-limited")
    assert 290 <= int(refused.headers["retry-after"]) <= 300
    assert refused.headers["ratelimit-policy"] == '"number";q=2;w=600'
    assert POLICY.fullmatch(refused.headers["ratelimit-policy"])
    assert await api.keys() == before
    assert (await api.post(otp(phone_number="0901234568"))).status_code == 202


async def test_a_full_queue_is_a_503_and_nothing_is_stored(make_api: MakeApi) -> None:
    api = await make_api(login_otp="max_queued = 1")
    await api.sent()
    before = await api.keys()
    answer = await api.post(otp(phone_number="0907654321"), key="k")
    assert_problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert await api.keys() == before


async def test_a_redis_out_of_memory_is_a_503_and_nothing_is_stored(make_api: MakeApi) -> None:
    api = await make_api()
    before = await api.keys()
    await api.redis_says("CONFIG", "SET", "maxmemory", "1mb")
    try:
        assert_problem(await api.post(otp(), key="k"), 503, "unavailable")
    finally:
        await api.redis_says("CONFIG", "SET", "maxmemory", "0")
    assert await api.keys() == before
    assert (await api.post(otp(), key="k")).status_code == 202
