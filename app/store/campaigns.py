"""What a campaign looks like from outside: how much waits, how long, and why it stands still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.store.records import Record

if TYPE_CHECKING:
    from app.config import CampaignConfig
    from app.store.database import Database


@dataclass(frozen=True, slots=True)
class CampaignStatus:
    """`state` is `running`, `held` (with a reason), `draining` (with one if it is held too) or `paused`. Times in ms
    since the epoch."""

    state: str
    reason: str | None
    queued: int
    oldest_queued_at_ms: int | None


@dataclass(frozen=True, slots=True)
class HourUsed:
    """Calls that count against a campaign's `max_per_hour`, and when the first of them will not any more."""

    calls: int
    leased: int
    """On their way, and counted as soon as their import may leave."""
    next_free_in_ms: int | None


@dataclass(frozen=True, slots=True)
class HeldBack:
    """An operator paused or drained the campaign: since when, who, and why."""

    since_ms: int
    by: str | None
    key: str | None
    why: str | None


@dataclass(frozen=True, slots=True)
class CampaignOverview:
    """What an operator sees of a campaign, over all clients."""

    status: CampaignStatus
    under_way: int
    """Imports that are leased or being sent."""
    probe_at_ms: int | None
    """When a campaign that the provider or the account holds is tried again."""
    hour: HourUsed
    paused: HeldBack | None
    draining: HeldBack | None


class Campaigns:
    """Reads the state of campaigns."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def status(self, campaign: CampaignConfig, clients: Sequence[str]) -> CampaignStatus:
        """The campaign's state, and the queue of these clients in it."""
        key = self._db.key
        queues = [key(kind, campaign.name, client) for client in clients for kind in ("due", "waiting")]
        replies = await self._db.read_many(
            [
                ("HGET", key("pause", campaign.name), "at"),
                ("EXISTS", key("drain", campaign.name)),
                ("HGET", key("locked", campaign.account), "until"),
                ("HGET", key("hold", campaign.name), "reason"),
                ("EXISTS", key("ceiling", campaign.name)),
                *(("ZCARD", queue) for queue in queues),
                *(("ZRANGE", queue, 0, 0, "WITHSCORES") for queue in queues),
            ]
        )
        state, reason = _state(*replies[:5])
        counts, firsts = replies[5 : 5 + len(queues)], replies[5 + len(queues) :]
        oldest = [int(float(first[1])) for first in firsts if first]
        return CampaignStatus(state, reason, sum(counts), min(oldest, default=None))

    async def overview(self, campaign: CampaignConfig, clients: Sequence[str]) -> CampaignOverview:
        """All that can be said of it; `clients` are all there are."""
        key = self._db.key
        status = await self.status(campaign, clients)
        paused, drained, locked_until, probe_at, under_way = await self._db.read_many(
            [
                ("HGETALL", key("pause", campaign.name)),
                ("HGETALL", key("drain", campaign.name)),
                ("HGET", key("locked", campaign.account), "until"),
                ("HGET", key("hold", campaign.name), "next"),
                ("SCARD", key("under_way", campaign.name)),
            ]
        )
        probe = locked_until or probe_at
        return CampaignOverview(
            status=status,
            under_way=under_way,
            probe_at_ms=None if probe is None else int(float(probe)),
            hour=await self.hour(campaign.name),
            paused=_held_back(paused),
            draining=_held_back(drained),
        )

    async def hour(self, campaign: str) -> HourUsed:
        """How much of its hour the campaign has used."""
        calls, leased, free_in_ms = await self._db.run("count_hour", campaign)
        return HourUsed(calls, leased, None if free_in_ms < 0 else free_in_ms)


def _state(
    paused: bytes | None, drained: int, locked_until: bytes | None, held: bytes | None, ceiling: int
) -> tuple[str, str | None]:
    if paused is not None:
        return "paused", None
    reason = "ceiling" if ceiling else None
    if locked_until is not None:
        reason = "account_locked"
    elif held is not None:
        reason = held.decode()
    if drained:
        return "draining", reason
    return ("running", None) if reason is None else ("held", reason)


def _held_back(flat: list[bytes]) -> HeldBack | None:
    fields = Record.of_flat(flat)
    if not fields:
        return None
    return HeldBack(fields.number("at") or 0, fields.text("by"), fields.text("k"), fields.text("w"))
