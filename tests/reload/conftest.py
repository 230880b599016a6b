"""A Redis for the API in the test's own loop, and the stage of whole processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import valkey_server
from tests.trouble.conftest import set_stage

__all__ = ["set_stage"]


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real server whose every write is fsynced."""
    with valkey_server() as server:
        yield server.url
