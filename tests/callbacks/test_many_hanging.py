"""Twenty destinations that hang together, through a real worker: a healthy one is not made to wait for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.callbacks.destination import Destination, listening
from tests.servers import valkey_server
from tests.workers.consumers import consuming, office
from tests.workers.rig import until


@pytest.fixture
def redis_url() -> Iterator[str]:
    with valkey_server() as server:
        yield server.url


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_twenty_destinations_that_hang_together_delay_a_healthy_one_by_less_than_a_second(
    redis_url: str, tmp_path: Path
) -> None:
    """Each has more due than slots, and holds what it got for the whole time-out."""
    async with AsyncExitStack() as stack:
        post = await stack.enter_async_context(office(redis_url, tmp_path, 'timeout = "30s"'))
        stuck = [await stack.enter_async_context(listening(Destination(script=hang))) for _ in range(20)]
        for one in stuck:
            await asyncio.gather(*(post.event_for(one) for _ in range(40)))
        healthy = await stack.enter_async_context(consuming())
        await post.start_worker()
        await until(lambda: all(one.requests for one in stuck), "all hang")
        delays_s = []
        for round_ in range(8):
            made = time.monotonic()
            await post.event_for(healthy)
            await healthy.wait_for(round_ + 1)
            delays_s.append(healthy.times[round_] - made)
        held = sum(len(one.requests) for one in stuck)
        print(
            f"{held} attempts hang at 20 destinations; a healthy one waited {max(delays_s) * 1000:.0f} ms at most"
        )
        assert max(delays_s) < 1
        assert held == sum(one.connections for one in stuck)
