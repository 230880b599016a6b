"""The API over real HTTP in the test's own loop, on a Redis that is empty for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.api.desk import Api, open_api
from tests.servers import ValkeyServer, valkey_server

MakeApi = Callable[..., Awaitable[Api]]


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real server whose every write is fsynced."""
    with valkey_server() as server:
        yield server.url


@pytest.fixture
def own_redis() -> Iterator[ValkeyServer]:
    """A server of this test's own, to be killed and frozen."""
    with valkey_server() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def make_api(redis_url: str) -> AsyncIterator[MakeApi]:
    """Makes the API of a test, with a line to add to the configuration by section."""
    async with AsyncExitStack() as stack:

        async def make(**more: str) -> Api:
            sections = {name.replace("_", "-"): line for name, line in more.items()}
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


@pytest_asyncio.fixture(loop_scope="module")
async def nothing_stored(api: Api) -> AsyncIterator[None]:
    """Holds at the end of the test: Redis has no key more than before."""
    before = await api.keys()
    yield
    assert await api.keys() == before
