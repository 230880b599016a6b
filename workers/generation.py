"""One configuration's part of a worker's life: its loops and their work, from the first lease to the last settle.

A generation is to Redis what a worker process is: it has a name, a heartbeat and connections of its own. So a second
one may run beside it in the same process, with the rights and duties of any other worker, and a changed configuration
needs nothing that several workers do not need.

Going down: nothing new is taken on, what was leased or claimed meanwhile is carried on, wake-ups are handed on to the
other workers, work in hand is waited for, and every step has a deadline: Redis may be away.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Coroutine
from typing import TYPE_CHECKING

from app.store.batches import source_of
from app.store.connection import ANSWER_TIMEOUT_S
from app.store.duties import beat, fall_silent
from app.store.faults import StoreError
from app.store.wakeups import WakeUps
from workers.arq_loop import ArqLoop
from workers.carry import Carrier
from workers.collect import Collector
from workers.crew import Crew
from workers.heartbeat import Heartbeat
from workers.parts import Parts, build_parts
from workers.push import Pusher
from workers.submit import Drain, listen
from workers.sweep import wake_waiting
from workers.tokens import TokenKeeper

if TYPE_CHECKING:
    from app.config import CampaignConfig, Config
    from app.telemetry.metrics import Metrics

_LOOPS_END_S = ANSWER_TIMEOUT_S + 0.5
"""A lease or a claim that Redis is about to answer is waited for: its batch would be left to its lease."""
_WORK_MARGIN_S = 5.0
_HAND_ON_S = 1.0
_CLOSE_S = 2.0


class Generation:
    """What runs under one configuration. Made by `begin`, ended by `go_down` and then `close`."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.crew = Crew()
        self._lasting = Crew()
        self._wake_ups = WakeUps(parts.config.redis.url)
        self._arq_loop = ArqLoop(parts, self.crew)

    @classmethod
    async def begin(cls, config: Config, metrics: Metrics, *, wait_s: float = math.inf) -> Generation:
        """Runs once Redis is there; raises as `build_parts` does."""
        generation = cls(await build_parts(config, metrics, wait_s=wait_s))
        try:
            await generation._heartbeat_first()
        except BaseException:
            await generation._lasting.end_loops(0)
            await generation.close()
            raise
        _start(generation.parts, generation.crew, generation._wake_ups, generation._arq_loop)
        return generation

    async def _heartbeat_first(self) -> None:
        """A heartbeat before anything is leased; it ends last, for what is in hand is missed with it."""
        database, owner = self.parts.database, self.parts.owner
        with contextlib.suppress(StoreError):
            await beat(database, owner)
        self._lasting.keep_running("heartbeat", Heartbeat(database, owner, self._lasting).run)

    async def go_down(self) -> None:
        """Ends the loops, then the work in hand, then the heartbeat."""
        await self.crew.end_loops(_LOOPS_END_S)
        await _at_most(_HAND_ON_S, wake_waiting(self.parts))
        await self.crew.end_work(_grace_s(self.parts.config))
        await self._lasting.end_loops(_HAND_ON_S)
        await _at_most(_HAND_ON_S, fall_silent(self.parts.database, self.parts.owner))

    async def close(self) -> None:
        """Ends every connection."""
        await _at_most(_CLOSE_S, self._wake_ups.close())
        await _at_most(_CLOSE_S, self._arq_loop.close())
        await _at_most(_CLOSE_S, self.parts.close())


def _start(parts: Parts, crew: Crew, wake_ups: WakeUps, arq_loop: ArqLoop) -> None:
    keepers = {
        name: TokenKeeper(
            name,
            client,
            parts.tokens,
            owner=parts.owner,
            timeout_s=parts.config.accounts[name].timeout.total_seconds(),
            metrics=parts.metrics,
            crew=crew,
        )
        for name, client in parts.clients.items()
    }
    drains, pusher = _drains(parts, crew, keepers), Pusher(parts, crew)
    for name, drain in drains.items():
        crew.keep_running(f"drain {name}", drain.run)
    for source, collector in _collectors(parts, crew, keepers).items():
        crew.keep_running(f"collect {source}", collector.run)
    crew.keep_running("push", pusher.run)
    crew.keep_running("listen", lambda: listen(wake_ups, drains, pusher.woken.set, crew))
    crew.keep_running("arq", arq_loop.run)


def _drains(parts: Parts, crew: Crew, keepers: dict[str, TokenKeeper]) -> dict[str, Drain]:
    accounts = parts.config.accounts
    carriers = {
        name: Carrier(accounts[name], client, keepers[name], parts.batches, parts.metrics)
        for name, client in parts.clients.items()
    }
    return {
        name: Drain(campaign, accounts[campaign.account], parts.batches, carriers[campaign.account], crew)
        for name, campaign in parts.config.campaigns.items()
    }


def _collectors(parts: Parts, crew: Crew, keepers: dict[str, TokenKeeper]) -> dict[str, Collector]:
    accounts = parts.config.accounts
    by_source: dict[str, list[CampaignConfig]] = {}
    for campaign in parts.config.campaigns.values():
        by_source.setdefault(source_of(campaign, accounts[campaign.account]), []).append(campaign)
    return {
        source: Collector(
            source,
            accounts[campaigns[0].account],
            campaigns,
            client=parts.clients[campaigns[0].account],
            keeper=keepers[campaigns[0].account],
            outcomes=parts.outcomes,
            owner=parts.owner,
            metrics=parts.metrics,
            crew=crew,
        )
        for source, campaigns in by_source.items()
    }


def _grace_s(config: Config) -> float:
    """For what is in hand: the longest that an import or a callback may take, and then it must be written."""
    timeouts = [config.callbacks.timeout, *(account.timeout for account in config.accounts.values())]
    return max(timeouts).total_seconds() + _WORK_MARGIN_S


async def _at_most(seconds: float, step: Coroutine[object, object, None]) -> None:
    with contextlib.suppress(TimeoutError, StoreError):
        await asyncio.wait_for(step, seconds)
