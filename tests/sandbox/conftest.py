from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from app.sandbox.main import SandboxSettings, sandbox_server
from tests.sandbox.desk import Desk


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    settings = SandboxSettings(call_time=timedelta(milliseconds=200))
    async with sandbox_server(settings) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        yield Desk(http)
