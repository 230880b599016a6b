import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.cli.dev.redis_server import redis_part


@pytest.fixture
async def redis_url(tmp_path: Path) -> AsyncIterator[str]:
    """A server as `dev` starts it."""
    part = redis_part(tmp_path, Path("redis.sock"))
    server = await asyncio.create_subprocess_exec(
        *part.argv, cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    socket = tmp_path / "redis.sock"
    async with asyncio.timeout(10):
        while not socket.exists():  # noqa: ASYNC110 - a file appears
            await asyncio.sleep(0.01)
    yield f"unix://{socket}"
    server.kill()
    await server.wait()
