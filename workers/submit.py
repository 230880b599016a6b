"""Drains the campaigns: one loop a campaign leases batches and hands each to a carrier.

A batch leaves when it is full or `linger` after its first message; how many are under way, over all workers, is
for the lease to say. What was leased is carried, also when the process was told to stop meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from app.store.batches import Batch, CeilingReached
from app.store.wakeups import PUSH, WakeUps

if TYPE_CHECKING:
    from app.config import AccountConfig, CampaignConfig
    from app.store.batches import Batches
    from workers.carry import Carrier
    from workers.crew import Crew

log = structlog.get_logger()

_IDLE_S = 5.0


class Drain:
    """One campaign's loop in this worker."""

    def __init__(
        self, campaign: CampaignConfig, account: AccountConfig, batches: Batches, carrier: Carrier, crew: Crew
    ) -> None:
        self.woken = asyncio.Event()
        self._campaign = campaign
        self._account = account
        self._batches = batches
        self._carrier = carrier
        self._crew = crew
        self._held: str | None = None

    async def run(self) -> None:
        """Until the crew stops."""
        while not self._crew.stopping.is_set():
            found = await self._batches.lease(self._campaign, self._account)
            if isinstance(found, CeilingReached):
                self._warn(found)
                continue
            if isinstance(found, Batch):
                if not found.probe:
                    self._say(None)
                self._crew.start(f"import {found.batch_id}", self._carry(found))
                continue
            if found.held != "ceiling":  # which is told of by itself, and comes and goes with each minute
                self._say(found.held)
            wait_s = _IDLE_S if found.wait_ms is None else min(found.wait_ms / 1000, _IDLE_S)
            await self._crew.wait_for(self.woken, wait_s)

    async def _carry(self, batch: Batch) -> None:
        try:
            await self._carrier.carry(batch)
        except asyncio.CancelledError:
            await self._batches.let_go(batch)
            raise
        finally:
            self.woken.set()

    def _warn(self, reached: CeilingReached) -> None:
        """One worker says it once, until much less is used again."""
        of = {
            "campaign": self._campaign.name,
            "used": reached.used,
            "max_per_hour": self._campaign.max_per_hour,
        }
        if reached.percent < 100:
            log.warning("ceiling near, raise max_per_hour if this is wanted traffic", **of)
        else:
            log.warning("ceiling reached, nothing more goes until the hour frees some", **of)

    def _say(self, held: str | None) -> None:
        if held != self._held and held is not None:
            log.warning("campaign is held, its queue waits", campaign=self._campaign.name, reason=held)
        elif held != self._held:
            log.info("campaign runs again", campaign=self._campaign.name)
        self._held = held


async def listen(
    wake_ups: WakeUps, drains: dict[str, Drain], wake_pusher: Callable[[], None], crew: Crew
) -> None:
    """Hands wake-ups on to the campaign's drain or to the pusher, until the crew stops."""
    while not crew.stopping.is_set():
        name = await crew.unless_stopping(wake_ups.next())
        if name == PUSH:
            wake_pusher()
        elif name in drains:
            drains[name].woken.set()
