"""Two clients of one API with the same data, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.api.conftest import redis_url
from tests.api.desk import Api, open_api
from tests.tenants.two_clients import Two, two_clients

__all__ = ["redis_url"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_api(redis_url: str) -> AsyncIterator[Api]:
    """Limits so wide that none is met."""
    wide = 'per_number_limit = "100000/s"'
    async with open_api(redis_url, {"login-otp": wide, "order-notice": wide}) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def two(one_api: Api) -> Two:
    """Anew for each test."""
    await one_api.wipe()
    return await two_clients(one_api)
