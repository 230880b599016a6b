"""The API over real HTTP in the test's own loop, on a Redis that is empty for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest_asyncio

from tests.http.desk import Api, open_api
from tests.workers.conftest import redis_url

__all__ = ["redis_url"]

MakeApi = Callable[..., Awaitable[Api]]


@pytest_asyncio.fixture(loop_scope="module")
async def make_api(redis_url: str) -> AsyncIterator[MakeApi]:
    """Makes the API of a test, with lines to add to the configuration by section."""
    async with AsyncExitStack() as stack:

        async def make(**more: str) -> Api:
            sections = {name.replace("_", "-"): lines for name, lines in more.items()}
            return await stack.enter_async_context(open_api(redis_url, sections))

        yield make


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing(redis_url: str) -> AsyncIterator[Api]:
    """One API for all tests of a module."""
    async with open_api(redis_url) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="module")
async def api(standing: Api) -> Api:
    """The API as it is configured by default, holding nothing."""
    await standing.wipe()
    return standing
