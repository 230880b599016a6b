"""The safety net, once a second on one worker: overdue leases, expired messages, lost wake-ups.

A sweep that is skipped, doubled or cut off changes nothing but latency: every move in it is a script of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from app.store.wakeups import PUSH, wake_again

if TYPE_CHECKING:
    from workers.parts import Parts

log = structlog.get_logger()

_LEASES_AT_ONCE = 100
_EXPIRED_AT_ONCE = 20
"""Redis does nothing else meanwhile: with 200 at once, accepting waited for up to 240 ms (tests/bench/million.py)."""
_MOST_EXPIRED = 20_000


async def sweep(parts: Parts) -> None:
    """One round of everything."""
    await recover_leases(parts)
    for name in parts.config.campaigns:
        await expire_messages(parts, name)
    await wake_waiting(parts)


async def recover_leases(parts: Parts) -> None:
    """Takes the batches of workers that are gone."""
    for batch, campaign, fate, messages in await parts.batches.recover(most=_LEASES_AT_ONCE):
        log.warning("lease recovered", batch=batch, campaign=campaign, fate=fate, messages=messages)


async def expire_messages(parts: Parts, name: str) -> None:
    """Ends the campaign's queued messages whose time has run out."""
    campaign = parts.config.campaigns[name]
    ended = 0
    while ended < _MOST_EXPIRED:
        count, reason = await parts.batches.expire(campaign, most=_EXPIRED_AT_ONCE)
        ended += count
        if count:
            parts.metrics.outcomes.labels(campaign=name, state="expired", reason=reason).inc(count)
        if count < _EXPIRED_AT_ONCE:
            break
    if ended:
        log.warning("messages expired", campaign=name, count=ended, reason=reason)


async def wake_waiting(parts: Parts) -> None:
    """Wakes for whatever is queued, so that a lost wake-up costs a second and no more."""
    names = list(parts.config.campaigns)
    key = parts.database.key
    replies = await parts.database.read_many(
        [*(("ZCARD", key("turns", name)) for name in names), ("ZCARD", key("destinations"))]
    )
    for name, waiting in zip([*names, PUSH], replies, strict=True):
        if waiting:
            await wake_again(parts.database, name)
