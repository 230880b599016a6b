"""A real API process on a port of its own, with short deadlines, for callers of the worst kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import valkey_server
from tests.traffic.api_process import ApiProcess, api_process


@pytest.fixture(scope="session")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """One process for all tests, none of which may end it."""
    folder = tmp_path_factory.mktemp("traffic")
    with valkey_server() as redis, api_process(redis.url, folder) as process:
        yield process


@pytest.fixture(autouse=True)
def lives_on(relay: ApiProcess) -> Iterator[None]:
    """Whatever was sent to it, the process serves a good caller afterwards, and has logged no trace."""
    yield
    relay.serves_a_good_caller()
    relay.said_nothing_bad()
