"""Two API processes and one limit: what is let through under concurrent load is what the limit says.

The figures are printed: `python -m pytest tests/limits/test_two_processes.py -s`.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from tests.api.desk import KEYS, config_text, otp
from tests.servers import ValkeyServer, valkey_server
from tests.trouble.stage import Stage
from tests.workers.rig import Receiver

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENT_LIMIT, NUMBER_LIMIT, A_SECOND = 200, 40, 50
_AT_ONCE = 16


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with valkey_server() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def callers(
    server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """One for each process."""
    lines = {
        "checkout": f'rate_limit = "{CLIENT_LIMIT}/24h"',
        "notices": f'rate_limit = "{A_SECOND}/s"',
        "login-otp": f'per_number_limit = "{NUMBER_LIMIT}/24h"',
    }
    folder = tmp_path_factory.mktemp("apis")
    async with httpx.AsyncClient() as no_sandbox:
        stage = Stage(folder, server, no_sandbox, Receiver())
        stage.file.write_text(config_text(server.url, lines))
        try:
            processes = await asyncio.gather(stage.api(), stage.api())
            opened = [httpx.AsyncClient(base_url=one.url, timeout=20, trust_env=False) for one in processes]
            yield opened
            await asyncio.gather(*(one.aclose() for one in opened))
        finally:
            await stage.stop()


class Load:
    """Requests over both processes, as fast as they are answered."""

    def __init__(self, callers: list[httpx.AsyncClient], of: str, **fields: object) -> None:
        self._callers, self._fields = callers, fields
        self._headers = {"authorization": f"Bearer {KEYS[of]}"}
        self._left = 0
        self._numbers = itertools.count(901_000_000)
        self.statuses: list[Counter[int]] = [Counter() for _ in callers]

    @property
    def accepted(self) -> int:
        return sum(one[202] for one in self.statuses)

    async def send(self, requests: int) -> Load:
        self._left = requests
        await asyncio.gather(*(self._connection(n % len(self._callers)) for n in range(_AT_ONCE)))
        for one in self.statuses:
            assert set(one) <= {202, 429}
            assert one, "a process that took no part"
        return self

    async def send_for(self, seconds: float) -> float:
        """For how many seconds the limit has run at most."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            await self.send(_AT_ONCE)
        return time.monotonic() - began

    async def _connection(self, process: int) -> None:
        while self._left > 0:
            self._left -= 1
            fields = {"phone_number": f"+84{next(self._numbers)}", **self._fields}
            answer = await self._callers[process].post(
                "/v1/messages", json=otp(**fields), headers=self._headers
            )
            self.statuses[process][answer.status_code] += 1


def _say(limit: str, let_through: int, allowed: str, load: Load) -> None:
    by_process = ", ".join(str(dict(sorted(one.items()))) for one in load.statuses)
    print(f"\n{limit}: {let_through} let through, {allowed} allowed; by process: {by_process}")


async def test_two_processes_let_through_what_a_clients_limit_says(callers: list[httpx.AsyncClient]) -> None:
    load = await Load(callers, "checkout").send(2 * CLIENT_LIMIT)
    _say("client", load.accepted, str(CLIENT_LIMIT), load)
    assert load.accepted == CLIENT_LIMIT


async def test_two_processes_let_through_what_a_numbers_limit_says(callers: list[httpx.AsyncClient]) -> None:
    load = await Load(callers, "delivery", phone_number="0907654321").send(4 * NUMBER_LIMIT)
    _say("number", load.accepted, str(NUMBER_LIMIT), load)
    assert load.accepted == NUMBER_LIMIT


async def test_two_processes_keep_to_a_rate_while_it_runs(callers: list[httpx.AsyncClient]) -> None:
    load = Load(callers, "notices", campaign="order-notice", otp_code=None)
    most = A_SECOND + A_SECOND * await load.send_for(1)
    _say("rate", load.accepted, f"at most {most:.1f}", load)
    assert 1.2 * A_SECOND <= load.accepted <= most + 1
