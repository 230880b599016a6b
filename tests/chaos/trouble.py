"""What befalls a run: who dies when, who is frozen, which fault the provider has. All drawn from the seed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from tests.chaos.fleet import Fleet

FROZEN_S = 7.0
"""Longer than the lease of a batch."""

_FAULTS: tuple[tuple[str, dict[str, object]], ...] = (
    ("reset_before", {"times": 2}),
    ("reset_after", {"times": 2}),
    ("error_before", {"times": 2}),
    ("error_after", {"times": 2, "status": 502}),
    ("garbage_body", {"times": 1}),
    ("half_body", {"times": 1}),
    ("hang", {"times": 1}),
    ("dead_token", {"times": 2}),
    ("rate_limited", {"times": 2, "on": "any", "retry_after_s": 1}),
    ("slow", {"times": 3, "delay_ms": 700}),
    ("slow", {"times": 2, "delay_ms": 900, "when": "after"}),
    ("too_large", {"times": 3, "above": 3}),
    ("error_before", {"times": 3, "on": "export"}),
    ("single_token", {"times": 2}),
)
_LASTING: tuple[tuple[str, dict[str, object]], ...] = (
    ("page_cap", {"rows": 37}),
    ("row_order", {"order": "shuffled"}),
    ("number_spelling", {"spelling": "e164"}),
    ("late_rows", {"until": "ended"}),
    ("clock_offset", {"seconds": 240}),
    ("clock_offset", {"seconds": -240}),
    ("call_id_kind", {"in_import": "string", "in_export": "number"}),
    ("foreign_rows", {"count": 2}),
    ("few_lines", {"lines": 250}),
)


@dataclass(frozen=True, slots=True)
class Blow:
    """One thing that happens, `at_s` after the load began."""

    at_s: float
    kind: str
    target: str
    for_s: float

    def __str__(self) -> str:
        return f"{self.at_s:5.1f} s  {self.kind} {self.target} {self.for_s:.2f} s"


def draw_blows(rng: random.Random, fleet: Fleet, kills: int, over_s: float) -> list[Blow]:
    """So many kills, and beside them one frozen worker, over the time of the load."""
    apis, workers = fleet.names()
    blows = []
    for n in range(kills):
        share = rng.random()
        target = "redis" if share < 0.2 else rng.choice(workers) if share < 0.7 else rng.choice(apis)
        # One in each part of the time, so that the last comes late and none are all at once.
        at_s = over_s * (n + rng.random()) / kills
        blows.append(Blow(at_s, "kill", target, rng.uniform(0.02, 0.8)))
    blows.append(Blow(rng.uniform(0.1, 0.4) * over_s, "freeze", rng.choice(workers), FROZEN_S))
    return sorted(blows, key=lambda blow: blow.at_s)


class Trouble:
    """Makes it happen."""

    def __init__(self, fleet: Fleet, session: aiohttp.ClientSession, rng: random.Random) -> None:
        self._fleet = fleet
        self._session = session
        self._rng = rng
        self.faults: list[str] = []
        self.last_blow = 0.0
        """By the monotonic clock."""

    async def lasting(self) -> None:
        """Two ways in which this provider differs from the document, for the whole run."""
        for name, params in self._rng.sample(_LASTING, 2):
            await self._switch(name, params)

    async def strike(self, blows: list[Blow], say: Callable[[str], None]) -> None:
        """Each blow at its time; one process has one at a time."""
        started = time.monotonic()
        busy: dict[str, asyncio.Lock] = {}

        async def one(blow: Blow) -> None:
            async with busy.setdefault(blow.target, asyncio.Lock()):
                say(str(blow))
                if blow.kind == "kill":
                    await self._fleet.bounce(blow.target, blow.for_s)
                else:
                    await self._fleet.freeze(blow.target, blow.for_s)
                self.last_blow = time.monotonic()

        async with asyncio.TaskGroup() as group:
            for blow in blows:
                await asyncio.sleep(max(0.0, started + blow.at_s - time.monotonic()))
                group.create_task(one(blow))

    async def annoy(self, until_s: float) -> None:
        """A fault of the provider each second or so; now and then a campaign is stopped for a moment."""
        give_up = time.monotonic() + until_s
        while time.monotonic() < give_up:
            await asyncio.sleep(self._rng.uniform(0.4, 1.2))
            if self._rng.random() < 0.12:
                await self._stop_campaign()
            else:
                await self._switch(*self._rng.choice(_FAULTS))

    async def _stop_campaign(self) -> None:
        campaign = self._rng.choice(("sandbox-login-otp", "sandbox-order-notice"))
        self.faults.append(f"stop {campaign}")
        url = f"{self._fleet.sandbox_url}/sandbox/campaigns/{campaign}"
        async with self._session.post(f"{url}/stop"):
            await asyncio.sleep(self._rng.uniform(0.5, 1.5))
        async with self._session.post(f"{url}/start"):
            pass

    async def _switch(self, name: str, params: dict[str, object]) -> None:
        self.faults.append(name)
        url = f"{self._fleet.sandbox_url}/sandbox/faults/{name}"
        with contextlib.suppress(aiohttp.ClientError):
            async with self._session.put(url, json=params) as answer:
                assert answer.status == 200, await answer.text()

    async def relent(self) -> None:
        """No more faults of single requests; what this provider is like stays."""
        for name in {name for name, _ in _FAULTS}:
            async with self._session.delete(f"{self._fleet.sandbox_url}/sandbox/faults/{name}"):
                pass
