"""What a campaign looks like from outside: how much waits, how long, and why it stands still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.config import CampaignConfig
    from app.store.database import Database


@dataclass(frozen=True, slots=True)
class CampaignStatus:
    """`state` is `running`, `held` (with a reason) or `paused`. Times in ms since the epoch."""

    state: str
    reason: str | None
    queued: int
    oldest_queued_at_ms: int | None


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
                ("HGET", key("locked", campaign.account), "until"),
                ("HGET", key("hold", campaign.name), "reason"),
                ("EXISTS", key("ceiling", campaign.name)),
                *(("ZCARD", queue) for queue in queues),
                *(("ZRANGE", queue, 0, 0, "WITHSCORES") for queue in queues),
            ]
        )
        state, reason = _hold(*replies[:4])
        counts, firsts = replies[4 : 4 + len(queues)], replies[4 + len(queues) :]
        oldest = [int(float(first[1])) for first in firsts if first]
        return CampaignStatus(state, reason, sum(counts), min(oldest, default=None))


def _hold(
    paused: bytes | None, locked_until: bytes | None, held: bytes | None, ceiling: int
) -> tuple[str, str | None]:
    if paused is not None:
        return "paused", None
    if locked_until is not None:
        return "held", "account_locked"
    if held is not None:
        return "held", held.decode()
    return ("held", "ceiling") if ceiling else ("running", None)
