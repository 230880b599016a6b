"""Tests that leak, each in another place, and pass but for that. Run by `test_search.py`, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import structlog
from redis import Redis

from app.message import MessageId
from tests.api.desk import Api, open_api
from tests.canaries.planted import CODE, NUMBER, SANDBOX_SECRET
from tests.servers import ValkeyServer, valkey_server

pytestmark = pytest.mark.parametrize("leaks", (True, False), ids=("leak", "tight"))
SETS_UP_LOGS = (
    "import sys, structlog; from app.telemetry.logs import configure_logging; configure_logging(); "
)


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with valkey_server() as opened:
        yield opened


@pytest.fixture
async def api(server: ValkeyServer) -> AsyncIterator[Api]:
    async with open_api(server.url) as opened:
        yield opened


def test_in_a_processs_log(leaks: bool, tmp_path: Path) -> None:
    told = f"told {CODE}" if leaks else "told"
    with (tmp_path / "worker-0.log").open("wb") as log:
        argv = [sys.executable, "-c", f"{SETS_UP_LOGS}structlog.get_logger().info(sys.argv[1])", told]
        subprocess.run(argv, stderr=log, check=True)


def test_in_what_this_process_logs(leaks: bool) -> None:
    structlog.get_logger().info("told", of=CODE if leaks else "***")


def test_in_an_exceptions_text_that_is_printed(leaks: bool) -> None:
    sys.stderr.write(f"KeyError: {SANDBOX_SECRET if leaks else '***'}\n")


def test_in_redis(leaks: bool, server: ValkeyServer) -> None:
    with Redis(unix_socket_path=server.url.removeprefix("unix://")) as redis:
        redis.hset("relay:{0}:m:msg_1", "n", NUMBER if leaks else "a-keyed-hash")


def test_in_what_redis_held_for_a_moment(leaks: bool, server: ValkeyServer) -> None:
    with Redis(unix_socket_path=server.url.removeprefix("unix://")) as redis:
        redis.set("relay:{0}:x", CODE if leaks else "sealed")
        redis.delete("relay:{0}:x")


async def test_in_an_answer(leaks: bool, api: Api) -> None:
    sent = await api.sent(metadata={"note": CODE if leaks else "none"})
    assert MessageId(sent["id"])


async def test_in_the_metrics(leaks: bool, api: Api) -> None:
    api.app.state.metrics.accepted.labels(NUMBER if leaks else "checkout", "login-otp").inc()
    answer: httpx.Response = await api.http.get("/metrics")
    assert answer.status_code == 200
