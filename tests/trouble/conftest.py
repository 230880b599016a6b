"""A stage for each test: a Redis process, a sandbox and a receiver of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from app.sandbox.main import SandboxSettings, sandbox_server
from tests.servers import receiving, valkey_server
from tests.trouble.stage import Stage
from tests.workers.rig import Receiver

SetStage = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def set_stage(tmp_path: Path) -> AsyncIterator[SetStage]:
    """Sets the stage of a test, with nothing of the relay running; the lines are those of `Stage.configure`."""
    async with AsyncExitStack() as stack:

        async def make(**lines: str) -> Stage:
            receiver = Receiver()
            receiver_url = await stack.enter_async_context(receiving(receiver.take))
            url = await stack.enter_async_context(
                sandbox_server(SandboxSettings(call_time=timedelta(seconds=0.4)))
            )
            sandbox = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))
            stage = Stage(tmp_path, stack.enter_context(valkey_server()), sandbox, receiver)
            stack.push_async_callback(stage.stop)
            stage.configure(receiver_url, **lines)
            return stage

        yield make
