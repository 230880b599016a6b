"""A worker's whole life: built, running until it is cancelled, and brought down with grace.

Going down: not ready, nothing new is taken on, what was leased or claimed meanwhile is carried on, wake-ups are handed
on to the other workers, work in hand is waited for, and every step has a deadline: Redis may be away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING

import structlog

from app.store.batches import source_of
from app.store.connection import ANSWER_TIMEOUT_S
from app.store.duties import beat, fall_silent
from app.store.faults import StoreError
from app.store.wakeups import WakeUps
from app.telemetry.metrics import Metrics
from workers.arq_loop import ArqLoop
from workers.carry import Carrier
from workers.collect import Collector
from workers.crew import Crew
from workers.heartbeat import Heartbeat
from workers.parts import Parts, build_parts
from workers.probes import serve_probes
from workers.push import Pusher
from workers.submit import Drain, listen
from workers.sweep import wake_waiting
from workers.tokens import TokenKeeper

if TYPE_CHECKING:
    from aiohttp import web

    from app.config import CampaignConfig, Config

log = structlog.get_logger()

_LOOPS_END_S = ANSWER_TIMEOUT_S + 0.5
"""A lease or a claim that Redis is about to answer is waited for: its batch would be left to its lease."""
_WORK_MARGIN_S = 5.0
_HAND_ON_S = 1.0
_CLOSE_S = 2.0


async def live(config: Config) -> None:
    """Runs until it is cancelled, ends with grace, and only then lets the cancellation through."""
    parts, crew, lasting = await build_parts(config, Metrics()), Crew(), Crew()
    wake_ups, arq_loop = WakeUps(config.redis.url), ArqLoop(parts, crew)
    probes = await serve_probes(parts, crew)
    await _to_begin_with(parts, lasting)
    _start(parts, crew, wake_ups, arq_loop)
    log.info("worker ready", campaigns=len(config.campaigns), probes_port=config.worker.port)
    try:
        await asyncio.Event().wait()
    finally:
        await _to_its_end(_go_down(parts, crew, lasting))
        await _to_its_end(_close(parts, wake_ups, arq_loop, probes))
        log.info("worker stopped")


async def _to_begin_with(parts: Parts, lasting: Crew) -> None:
    """A heartbeat before anything is leased; it ends last, for what is in hand is missed with it."""
    with contextlib.suppress(StoreError):
        await beat(parts.database, parts.owner)
    lasting.keep_running("heartbeat", Heartbeat(parts.database, parts.owner, lasting).run)


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


async def _go_down(parts: Parts, crew: Crew, lasting: Crew) -> None:
    await crew.end_loops(_LOOPS_END_S)
    await _at_most(_HAND_ON_S, wake_waiting(parts))
    await crew.end_work(_grace_s(parts.config))
    await lasting.end_loops(_HAND_ON_S)
    await _at_most(_HAND_ON_S, fall_silent(parts.database, parts.owner))


def _grace_s(config: Config) -> float:
    """For what is in hand: the longest that an import or a callback may take, and then it must be written."""
    timeouts = [config.callbacks.timeout, *(account.timeout for account in config.accounts.values())]
    return max(timeouts).total_seconds() + _WORK_MARGIN_S


async def _close(parts: Parts, wake_ups: WakeUps, arq_loop: ArqLoop, probes: web.AppRunner | None) -> None:
    if probes is not None:
        await _at_most(_CLOSE_S, probes.cleanup())
    await _at_most(_CLOSE_S, wake_ups.close())
    await _at_most(_CLOSE_S, arq_loop.close())
    await _at_most(_CLOSE_S, parts.close())


async def _at_most(seconds: float, step: Coroutine[object, object, None]) -> None:
    with contextlib.suppress(TimeoutError, StoreError):
        await asyncio.wait_for(step, seconds)


async def _to_its_end(step: Coroutine[object, object, None]) -> None:
    """Runs the step to its end, however often the signal comes again meanwhile."""
    task = asyncio.create_task(step)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()
