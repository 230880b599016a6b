"""What answers say of limits parses as the draft's structured fields, and is true."""

from __future__ import annotations

import pytest

from tests.api.conftest import MakeApi
from tests.api.desk import NUMBER, Api, otp
from tests.limits.fields import Told, told

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = {
    "client": {"checkout": 'rate_limit = "3/30s"'},
    "number": {"login_otp": 'per_number_limit = "3/30s"'},
}


async def _after(api: Api, seconds: float) -> None:
    """As if that long had passed for every limit."""
    for key in await api.keys("relay:{0}:*rate:*"):
        at_ms = float(await api.redis_says("GET", key))
        await api.redis_says("SET", key, f"{at_ms - seconds * 1000:.3f}", "KEEPTTL")


@pytest.mark.parametrize("scope", LIMITS)
async def test_the_wait_told_is_enough_and_a_second_less_is_not(make_api: MakeApi, scope: str) -> None:
    api = await make_api(**LIMITS[scope])
    for _ in range(3):
        assert (await api.post(otp())).status_code == 202
    refused = await api.post(otp())
    assert refused.status_code == 429
    found = told(refused)
    assert found == Told(scope, 3, 30, 0, found.more_in_s, found.more_in_s)
    await _after(api, found.more_in_s - 1)
    early = told(await api.post(otp()))
    assert (early.limit, early.retry_after_s) == (scope, 1)
    await _after(api, 1)
    assert (await api.post(otp())).status_code == 202


async def test_as_many_are_left_as_is_told_and_one_more_when_it_is_told(make_api: MakeApi) -> None:
    api = await make_api(checkout='rate_limit = "4/40s"')
    first = told(await api.post(otp()))
    assert first == Told("client", 4, 40, 3, 10, None)
    for left in (2, 1, 0):
        assert told(await api.post(otp())).left == left
    assert (await api.post(otp())).status_code == 429
    await _after(api, first.more_in_s)
    assert told(await api.post(otp())).left == 0


async def test_an_acceptance_tells_nothing_of_a_number_that_others_may_have_called(api: Api) -> None:
    unknown = told(await api.post(otp(phone_number="0901234568"), of="delivery"))
    for _ in range(4):
        await api.sent()
    called = told(await api.post(otp(phone_number=NUMBER), of="delivery"))
    assert called.limit == unknown.limit == "client"
    assert called.left == called.at_once - 1
