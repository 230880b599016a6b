"""10,000 open idle connections do not stop a good caller; nor do more than the process may have open files."""

from __future__ import annotations

import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import ValkeyServer, valkey_server
from tests.traffic.api_process import api_process
from tests.traffic.crowd import connections_possible, crowd, times_of_a_good_caller
from tests.traffic.wire import exchange, head

PATIENCE_S = 60.0
"""So that no connection is closed for its idleness while it is counted."""


@pytest.fixture(scope="module")
def redis() -> Iterator[ValkeyServer]:
    with valkey_server() as server:
        yield server


def test_ten_thousand_idle_connections_do_not_stop_a_good_caller(redis: ValkeyServer, tmp_path: Path) -> None:
    size = connections_possible(10_000)
    with api_process(redis.url, tmp_path, short_s=PATIENCE_S) as relay, crowd(relay.port, size):
        took = times_of_a_good_caller(relay.port, 200)
        assert relay.open_files() > size, "the connections are not held"
        assert took[len(took) * 99 // 100] < 0.5
        relay.said_nothing_bad()


def test_past_its_open_files_the_longest_idle_connections_make_room(
    redis: ValkeyServer, tmp_path: Path
) -> None:
    files = 300
    with (
        api_process(redis.url, tmp_path, short_s=PATIENCE_S, open_files=files) as relay,
        crowd(relay.port, 3 * files) as idle,
    ):
        times_of_a_good_caller(relay.port, 100)
        [answer] = exchange(relay.port, head("GET", "/livez"))
        assert answer.status == 200
        closed, _, _ = select.select(idle[:files], [], [], 0)
        assert closed == idle[:files], "the oldest were to go"
        assert select.select(idle[-10:], [], [], 0)[0] == []
        relay.said_nothing_bad()
