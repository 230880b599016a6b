"""One Redis a session, every write of it fsynced; empty for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.servers import valkey_server
from tests.store.desk import Desk, open_desk
from tests.store.tidy import assert_tidy


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    """A real server."""
    with valkey_server() as server:
        yield server.url


@pytest.fixture
async def desk(store_url: str) -> AsyncIterator[Desk]:
    """The store's faces on an empty Redis, which the test must leave tidy."""
    async with open_desk(store_url) as opened:
        yield opened
        await assert_tidy(opened.redis)
