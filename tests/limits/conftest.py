"""Limits over real HTTP, as the API's own tests have it; and limits of the store, at a time that the test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api.conftest import MakeApi, api, make_api, nothing_stored, redis_url, standing
from tests.store.clock import SteppedDesk, open_stepped_desk
from tests.store.conftest import store_url, unsynced_url

__all__ = [
    "MakeApi",
    "api",
    "make_api",
    "nothing_stored",
    "redis_url",
    "standing",
    "store_url",
    "unsynced_url",
]


@pytest.fixture
async def desk(unsynced_url: str) -> AsyncIterator[SteppedDesk]:
    """On an empty Redis, at a time that the test sets."""
    async with open_stepped_desk(unsynced_url) as opened:
        yield opened
