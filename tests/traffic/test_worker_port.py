"""The worker's own port: it tells nobody what it runs on, and idle or slow connections to it end."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

import workers.probes
from app.telemetry.metrics import Metrics
from tests.api.desk import config_of
from tests.traffic.wire import Answer, exchange, head
from workers.crew import Crew
from workers.generation import Generation
from workers.probes import serve_probes

_IDLE_S = 0.3


async def _fails(*_: object) -> None:
    raise KeyError("inner words")


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """Of a worker all of whose questions to Redis end in a fault of ours."""
    monkeypatch.setattr(workers.probes, "IDLE_S", _IDLE_S)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    config = config_of("redis://127.0.0.1:1/0")
    settings = dataclasses.replace(config, worker=dataclasses.replace(config.worker, port=port))
    parts = SimpleNamespace(config=settings, metrics=Metrics(), database=SimpleNamespace(read=_fails))
    generation = SimpleNamespace(parts=parts, crew=Crew())
    runner = await serve_probes(lambda: cast("Generation", cast("Any", generation)))
    assert runner is not None
    yield port
    await runner.cleanup()


async def _asked(port: int, sent: bytes) -> list[Answer]:
    return await asyncio.to_thread(exchange, port, sent)


async def test_the_worker_tells_nobody_what_it_runs_on(port: int) -> None:
    odd = (
        head("GET", "/livez"), head("GET", "/metrics"), head("GET", "/readyz"), head("GET", "/nothing"),
        head("POST", "/livez"), head("TRACE", "/metrics"), head("GET", "/../etc/passwd"),
        head("GET", "/livez", "A: " + "a" * 100_000), head("GET", "/" + "a" * 100_000), b"\0\r\n\r\n",
        head("POST", "/livez", "Content-Length: 5", "Transfer-Encoding: chunked"),
    )  # fmt: skip
    statuses = []
    for sent in odd:
        for answer in await _asked(port, sent):
            statuses.append(answer.status)
            for inner in (b"Traceback", b".py", b"inner words", b"KeyError", b"aiohttp"):
                assert inner not in answer.body
            assert answer.status == 400 or "server" not in answer.headers
    assert statuses[:6] == [200, 200, 500, 404, 405, 405]


@pytest.mark.parametrize("begun", (b"", b"GET /livez HTTP/1.1\r\nA: ", head("GET", "/livez", closing=False)))
async def test_idle_connections_to_the_workers_port_are_short(port: int, begun: bytes) -> None:
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begun)
    async with asyncio.timeout(_IDLE_S + 5):
        await reader.read()
        while not reader.at_eof():
            await reader.read()
    assert time.monotonic() - began >= _IDLE_S * 0.8
    writer.close()
