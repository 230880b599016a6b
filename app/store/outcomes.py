"""Outcomes: which calls are waited for, what a row of an export settles, and what no row ever settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from app.message import BatchId, Call, MessageId
from app.store.duties import drop_duty, keep_duty
from app.store.records import seal_call

if TYPE_CHECKING:
    from app.config import OnAmbiguous
    from app.store.database import Database


ByCampaign = int | Mapping[str, int]
"""A time in ms for all campaigns of a source, or each campaign's own; others then have the longest of them."""

_TIMED_OUT_AT_ONCE = 200
_FIRST = ("WITHSCORES", "LIMIT", 0, 1)


@dataclass(frozen=True, slots=True)
class Open:
    """What a source's exports are asked for. Times in ms by Redis' clock."""

    now_ms: int
    oldest_sent_ms: int | None
    """None: nothing waits for an outcome."""
    ambiguous: tuple[tuple[BatchId, int], ...]
    """Batches whose fate no export has told yet, each with when it was sent; oldest first."""
    count: int
    oldest_fresh_ms: int | None = None
    """When the oldest was sent that is no older than was asked about."""
    fresh: int = 0
    """How many of them those are."""
    oldest_late_ms: int | None = None
    """When the oldest undetermined message was sent that a late row might still settle."""
    newest_late_ms: int | None = None

    @property
    def since_ms(self) -> int | None:
        """When the oldest of all was sent, undetermined ones included. None: no export need be asked."""
        return min((at for at in (self.oldest_sent_ms, self.oldest_late_ms) if at is not None), default=None)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one row did. `fate`: `settled`, `waiting`, `known` or `unexplained`."""

    fate: str
    message_id: MessageId | None = None
    state: str | None = None
    campaign: str | None = None
    sent_at_ms: int = 0


class Outcomes:
    """The store's face to the collector."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def sources(self) -> dict[str, str]:
        """Every source that an import was ever made for, and a campaign of it."""
        flat = await self._db.read("HGETALL", self._db.key("sources"))
        return {
            name.decode(): campaign.decode() for name, campaign in zip(flat[::2], flat[1::2], strict=True)
        }

    async def open(self, source: str, fresh_ms: int = 0) -> Open:
        """What waits for an outcome there. What was sent in the last `fresh_ms` is fresh."""
        key = self._db.key
        clock, count, ambiguous, *ends = await self._db.read_many(
            [
                ("TIME",),
                ("ZCARD", key("open", source)),
                ("ZRANGE", key("ambiguous", source), 0, 99, "WITHSCORES"),
                ("ZRANGE", key("open", source), 0, 0, "WITHSCORES"),
                ("ZRANGE", key("late", source), 0, 0, "WITHSCORES"),
                ("ZRANGE", key("late", source), -1, -1, "WITHSCORES"),
            ]
        )
        first, first_late, last_late = (_score(end) for end in ends)
        batches = tuple(
            (BatchId(batch.decode()), int(float(at)))
            for batch, at in zip(ambiguous[::2], ambiguous[1::2], strict=True)
        )
        sent = [at for at in (first, *(at for _, at in batches)) if at is not None]
        found = Open(
            now_ms=int(clock[0]) * 1000 + int(clock[1]) // 1000,
            oldest_sent_ms=min(sent, default=None),
            ambiguous=batches,
            count=int(count) + len(batches),
            oldest_late_ms=first_late,
            newest_late_ms=last_late,
        )
        since_ms = found.since_ms
        fresh_from_ms = found.now_ms - fresh_ms
        if since_ms is None or since_ms >= fresh_from_ms:
            return replace(found, oldest_fresh_ms=found.oldest_sent_ms, fresh=found.count)
        oldest_fresh, fresh = await self._db.read_many(
            [
                ("ZRANGEBYSCORE", key("open", source), fresh_from_ms, "+inf", *_FIRST),
                ("ZCOUNT", key("open", source), fresh_from_ms, "+inf"),
            ]
        )
        young = [at for _, at in batches if at >= fresh_from_ms]
        oldest = [at for at in (_score(oldest_fresh), *young) if at is not None]
        return replace(found, oldest_fresh_ms=min(oldest, default=None), fresh=int(fresh) + len(young))

    async def hold_collector(self, source: str, owner: str, lease_ms: int) -> bool:
        """Whether this worker collects for the source until `lease_ms` from now."""
        return await keep_duty(self._db, f"collector:{source}", owner, lease_ms)

    async def release_collector(self, source: str, owner: str) -> None:
        """Lets another worker collect at once."""
        await drop_duty(self._db, f"collector:{source}", owner)

    async def give_row(
        self,
        account: str,
        phone_number: str,
        call: Call,
        reason: str,
        *,
        called_at_ms: int | None,
        tolerance_ms: int,
        redial_ms: ByCampaign,
        source: str = "",
    ) -> Finding:
        """Gives a row to the message whose call it tells of. `called_at_ms` by our clock; `source`: whose row it is."""
        number = self._db.index.of("number", phone_number)
        reply = await self._db.run(
            "outcome",
            account,
            number,
            call.call_id,
            call.state,
            called_at_ms or 0,
            tolerance_ms,
            seal_call(self._db.keyring, number, call),
            reason,
            _longest(redial_ms),
            source,
            call.called_at or "",
            *_pairs(redial_ms),
        )
        fate = reply[0].decode()
        if fate == "unexplained":
            return Finding(fate)
        message_id = MessageId(reply[1].decode())
        if fate != "settled":
            return Finding(fate, message_id)
        return Finding(fate, message_id, reply[2].decode(), reply[3].decode(), int(float(reply[5])))

    async def reconcile(
        self, batch: BatchId, policy: OnAmbiguous, *, owner: str = ""
    ) -> tuple[int, int] | None:
        """Gives up looking for the batch: how many go again, how many end undetermined.

        None: settled meanwhile, or `owner` does not collect for its source any more.
        """
        reply = await self._db.run("reconcile", batch, policy, owner)
        return None if reply[0] == b"lost" else (reply[1], reply[2])

    async def time_out(
        self,
        source: str,
        *,
        timeout_ms: ByCampaign,
        most: int,
        asked_at_ms: int,
        sent_since_ms: int | None = None,
        owner: str = "",
    ) -> list[tuple[MessageId, str, str]]:
        """Ends what waited too long: message, state, campaign. About `most`, and nothing sent before `sent_since_ms`.

        `asked_at_ms`: when the last whole export began. `owner`: who must be collecting there, for anything to end.
        """
        since = "-inf" if sent_since_ms is None else sent_since_ms
        ended: list[tuple[MessageId, str, str]] = []
        passed = 0
        while passed >= 0 and len(ended) < most:
            passed, *rows = await self._db.run(
                "time_out",
                source,
                _longest(timeout_ms),
                min(most, _TIMED_OUT_AT_ONCE),
                since,
                owner,
                passed,
                asked_at_ms,
                *_pairs(timeout_ms),
            )
            ended += [(MessageId(row[0].decode()), row[1].decode(), row[2].decode()) for row in rows]
        return ended

    async def campaign_of(self, batch: BatchId) -> str | None:
        """The campaign that a batch was leased for; None if it is settled."""
        name = await self._db.read("HGET", self._db.key("b", batch), "ca")
        return None if name is None else name.decode()


def _score(reply: Sequence[bytes]) -> int | None:
    """Of the first member of a sorted set's answer."""
    return int(float(reply[1])) if reply else None


def _longest(times_ms: ByCampaign) -> int:
    return times_ms if isinstance(times_ms, int) else max(times_ms.values())


def _pairs(times_ms: ByCampaign) -> list[str | int]:
    return [] if isinstance(times_ms, int) else [part for pair in times_ms.items() for part in pair]
