"""Outcomes: which calls are waited for, what a row of an export settles, and what no row ever settled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.message import BatchId, Call, MessageId
from app.store.duties import keep_duty
from app.store.records import seal_call

if TYPE_CHECKING:
    from app.config import OnAmbiguous
    from app.store.database import Database


@dataclass(frozen=True, slots=True)
class Open:
    """What a source's exports are asked for. Times in ms by Redis' clock."""

    now_ms: int
    oldest_sent_ms: int | None
    """None: nothing waits for an outcome."""
    ambiguous: tuple[tuple[BatchId, int], ...]
    """Batches whose fate no export has told yet, each with when it was sent; oldest first."""
    count: int


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

    async def open(self, source: str) -> Open:
        """What waits for an outcome there."""
        key = self._db.key
        clock, first, count, ambiguous = await self._db.read_many(
            [
                ("TIME",),
                ("ZRANGE", key("open", source), 0, 0, "WITHSCORES"),
                ("ZCARD", key("open", source)),
                ("ZRANGE", key("ambiguous", source), 0, 99, "WITHSCORES"),
            ]
        )
        batches = tuple(
            (BatchId(batch.decode()), int(float(at)))
            for batch, at in zip(ambiguous[::2], ambiguous[1::2], strict=True)
        )
        sent = [at for _, at in batches] + ([int(float(first[1]))] if first else [])
        now_ms = int(clock[0]) * 1000 + int(clock[1]) // 1000
        return Open(now_ms, min(sent, default=None), batches, int(count) + len(batches))

    async def hold_collector(self, source: str, owner: str, lease_ms: int) -> bool:
        """Whether this worker collects for the source until `lease_ms` from now."""
        return await keep_duty(self._db, f"collector:{source}", owner, lease_ms)

    async def release_collector(self, source: str, owner: str) -> None:
        """Lets another worker collect at once."""
        key = self._db.key("collector", source)
        if await self._db.read("GET", key) == owner.encode():
            await self._db.read("DEL", key)

    async def give_row(
        self,
        account: str,
        phone_number: str,
        call: Call,
        reason: str,
        *,
        called_at_ms: int | None,
        tolerance_ms: int,
        redial_ms: int,
    ) -> Finding:
        """Gives a row to the message whose call it tells of. `called_at_ms` by our clock."""
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
            redial_ms,
        )
        fate = reply[0].decode()
        if fate == "unexplained":
            return Finding(fate)
        message_id = MessageId(reply[1].decode())
        if fate != "settled":
            return Finding(fate, message_id)
        return Finding(fate, message_id, reply[2].decode(), reply[3].decode(), int(float(reply[5])))

    async def reconcile(self, batch: BatchId, policy: OnAmbiguous) -> tuple[int, int] | None:
        """Gives up looking for the batch: how many go again, how many end undetermined. None: settled meanwhile."""
        reply = await self._db.run("reconcile", batch, policy)
        return None if reply[0] == b"lost" else (reply[1], reply[2])

    async def time_out(
        self, source: str, *, timeout_ms: int, most: int, asked_at_ms: int
    ) -> list[tuple[MessageId, str, str]]:
        """Ends what waited too long: message, state, campaign. `asked_at_ms`: when the last whole export began."""
        rows = await self._db.run("time_out", source, timeout_ms, most, asked_at_ms)
        return [(MessageId(row[0].decode()), row[1].decode(), row[2].decode()) for row in rows]

    async def campaign_of(self, batch: BatchId) -> str | None:
        """The campaign that a batch was leased for; None if it is settled."""
        name = await self._db.read("HGET", self._db.key("b", batch), "ca")
        return None if name is None else name.decode()
