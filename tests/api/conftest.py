from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from tests.api.caller import Api, open_api
from tests.servers import ValkeyServer, valkey_server


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    with valkey_server() as server:
        yield server


@pytest.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """The server's inside, empty."""
    client = Redis.from_url(valkey.url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def api(valkey: ValkeyServer, redis: Redis) -> AsyncIterator[Api]:
    async with open_api(valkey.url) as opened:
        yield opened
