"""One Redis a session; a sandbox, a receiver and a clean Redis for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.config import parse_config
from app.sandbox.main import SandboxSettings, sandbox_server
from app.store.opening import open_database
from tests.servers import receiving, valkey_server
from tests.workers.rig import Receiver, Rig, relay_toml

MakeRig = Callable[..., Awaitable[Rig]]


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real server whose every write is fsynced."""
    with valkey_server() as server:
        yield server.url


@pytest.fixture
async def make_rig(redis_url: str, tmp_path: Path) -> AsyncIterator[MakeRig]:
    """Makes the rig of a test."""
    async with rigs(redis_url, tmp_path) as make:
        yield make


@asynccontextmanager
async def rigs(redis_url: str, folder: Path) -> AsyncIterator[MakeRig]:
    """Makes rigs: `call_time_s` of the sandbox, and lines for sections of the configuration."""
    async with AsyncExitStack() as stack:

        async def make(*, call_time_s: float = 0.4, worker: bool = True, **more: Any) -> Rig:
            receiver = Receiver()
            receiver_url = await stack.enter_async_context(receiving(receiver.take))
            url = await stack.enter_async_context(
                sandbox_server(SandboxSettings(call_time=timedelta(seconds=call_time_s)))
            )
            text = relay_toml(redis_url, url, receiver_url, {k.replace("_", "-"): v for k, v in more.items()})
            file = folder / "relay.toml"
            file.write_text(text)
            config = parse_config(text, file="relay.toml", env={})
            database = await open_database(config, wait_s=5)
            stack.push_async_callback(database.close)
            await database.read("FLUSHALL")
            await database.close()
            database = await open_database(config, wait_s=5)
            stack.push_async_callback(database.close)
            sandbox = await stack.enter_async_context(httpx.AsyncClient(base_url=url))
            rig = Rig(config, database, sandbox, receiver, file)
            stack.push_async_callback(rig.stop)
            if worker:
                await rig.start_worker()
            return rig

        yield make
