"""Destinations that hang together, through a real worker: a healthy one is not made to wait for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.callbacks.destination import Destination, listening
from tests.servers import valkey_server
from tests.workers.consumers import Consumer, Office, consuming, office
from tests.workers.rig import until


@pytest.fixture
def redis_url() -> Iterator[str]:
    with valkey_server() as server:
        yield server.url


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def slowest_s(post: Office, healthy: Consumer, client: str) -> float:
    """The longest that one of several events of that client takes to the healthy consumer."""
    delays_s = []
    for _ in range(8):
        had, made = len(healthy.times), time.monotonic()
        await post.event_for(healthy, client=client)
        await healthy.wait_for(had + 1)
        delays_s.append(healthy.times[had] - made)
    return max(delays_s)


async def test_destinations_that_hang_together_delay_a_healthy_one_by_less_than_a_second(
    redis_url: str, tmp_path: Path
) -> None:
    """Twenty of the same client, each with more due than slots; then six hundred of another, with one each."""
    async with AsyncExitStack() as stack:
        post = await stack.enter_async_context(office(redis_url, tmp_path, 'timeout = "30s"'))
        post.file.write_text(post.file.read_text().replace('"http://127.0.0.1:*"', '"http://127.0.0.0/8:*"'))
        stuck = [await stack.enter_async_context(listening(Destination(script=hang))) for _ in range(20)]
        for one in stuck:
            await asyncio.gather(*(post.event_for(one) for _ in range(40)))
        healthy = await stack.enter_async_context(consuming())
        await post.start_worker()
        await until(lambda: all(one.requests for one in stuck), "all hang")
        beside_twenty_s = await slowest_s(post, healthy, "checkout")

        many = await stack.enter_async_context(listening(Destination(script=hang), host="0.0.0.0"))
        for row in range(6):
            hosts = [f"127.1.{row}.{at}" for at in range(1, 101)]
            await asyncio.gather(*(post.event_for(many, host=host, client="delivery") for host in hosts))
        await until(lambda: len(many.requests) > 100, "they hang")
        beside_many_s = await slowest_s(post, healthy, "checkout")

        held = sum(len(one.requests) for one in stuck)
        print(f"{held} attempts hang at 20 destinations: {beside_twenty_s * 1000:.0f} ms at a healthy one")
        print(f"{len(many.requests)} more at another client's: {beside_many_s * 1000:.0f} ms")
        assert max(beside_twenty_s, beside_many_s) < 1
