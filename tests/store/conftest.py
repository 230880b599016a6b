"""One Redis a session, every write of it fsynced; empty for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from app.store.connection import connect_raw
from tests.servers import valkey_server
from tests.store.desk import Desk, open_desk
from tests.store.tidy import assert_tidy

_ANY_ORDER = settings(
    deadline=None,
    database=None,
    print_blob=True,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
settings.register_profile("quick", _ANY_ORDER, max_examples=25, stateful_step_count=80)
settings.register_profile("long", _ANY_ORDER, max_examples=500, stateful_step_count=200)


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    """A real server."""
    with valkey_server() as server:
        yield server.url


@pytest.fixture
async def unsynced_url(store_url: str) -> AsyncIterator[str]:
    """The server, which waits for no disk here: for tests of many moves that kill nothing."""
    client = connect_raw(store_url)
    await client.execute_command("CONFIG", "SET", "appendfsync", "no")  # type: ignore[no-untyped-call]
    yield store_url
    await client.execute_command("CONFIG", "SET", "appendfsync", "always")  # type: ignore[no-untyped-call]
    await client.aclose()


@pytest.fixture
async def desk(store_url: str) -> AsyncIterator[Desk]:
    """The store's faces on an empty Redis, which the test must leave tidy."""
    async with open_desk(store_url) as opened:
        yield opened
        await assert_tidy(opened.redis)
