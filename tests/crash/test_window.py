"""What is left between the last look at a lease's deadline and the write to the socket."""

from __future__ import annotations

import asyncio
import statistics
import time
from functools import partial

from app.config import parse_config
from app.provider.client import AccessToken, Contact, ProviderClient
from app.sandbox.main import SandboxSettings, sandbox_server
from app.secret import Secret
from tests.crash.doors import WatchedLoop
from tests.workers.rig import OTP, relay_toml

_IMPORTS = 100
_CONTACTS = [Contact(f"+8490120{n}", Secret.of("004217"), {}) for n in range(5200, 5400)]


class Window:
    """Looks and writes, by the clock and by how many turns other tasks had."""

    def __init__(self) -> None:
        self.turns = 0
        self.looks: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int]] = []

    def look(self) -> bool:
        self.looks.append((time.perf_counter_ns(), self.turns))
        return True

    def before(self, name: str) -> None:
        if name.endswith("/import"):
            self.writes.append((time.perf_counter_ns(), self.turns))

    def after(self, name: str, answer: str) -> None:
        """The answer does not matter here."""


def test_no_other_task_runs_between_the_last_look_at_the_lease_and_the_write() -> None:
    window = Window()
    with asyncio.Runner(loop_factory=partial(WatchedLoop, window)) as runner:
        runner.run(_import_beside_busy_tasks(window))
    assert len(window.writes) == _IMPORTS
    pairs = list(zip(window.looks, window.writes, strict=True))
    assert [write[1] - look[1] for look, write in pairs] == [0] * _IMPORTS
    micros = sorted((write[0] - look[0]) / 1000 for look, write in pairs)
    print(f"from look to write: median {statistics.median(micros):.0f} µs, most {micros[-1]:.0f} µs")


async def _import_beside_busy_tasks(window: Window) -> None:
    async with sandbox_server(SandboxSettings()) as url:
        config = parse_config(relay_toml("redis://none", url, "http://127.0.0.1:9"), file="t", env={})
        client = ProviderClient(config.accounts["main"])
        busy = [asyncio.create_task(_take_turns(window)) for _ in range(5)]
        try:
            token = await client.make_token()
            for _ in range(_IMPORTS):
                access = AccessToken(token.value, token.expires_at_ms)
                await client.import_contacts(OTP, access, _CONTACTS, may_leave=window.look)
        finally:
            for task in busy:
                task.cancel()
            await client.aclose()


async def _take_turns(window: Window) -> None:
    while True:
        window.turns += 1
        await asyncio.sleep(0)
