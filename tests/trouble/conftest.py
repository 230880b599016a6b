"""A stage for each test: a Redis, a sandbox process and a receiver of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from tests.servers import valkey_server
from tests.trouble.stage import BIN, Stage, free_port
from tests.workers.rig import Receiver

SetStage = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def set_stage(tmp_path: Path) -> AsyncIterator[SetStage]:
    """Sets the stage of a test, with nothing of the relay running; `account` and campaigns take lines of the file."""
    async with AsyncExitStack() as stack:

        async def make(**lines: str) -> Stage:
            receiver = Receiver()
            app = web.Application()
            app.router.add_post("/{client}", receiver.take)
            runner = web.AppRunner(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            sandbox_port = free_port()
            sandbox = await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{sandbox_port}", trust_env=False)
            )
            stage = Stage(tmp_path, stack.enter_context(valkey_server()), sandbox, receiver)
            stack.push_async_callback(stage.stop)
            stage.configure(f"http://{host}:{port}", **lines)
            process = await stage.start("sandbox", str(BIN / "otp-relay"), "sandbox", "--port", str(sandbox_port))
            await process.until_said("sandbox ready")
            return stage

        yield make
