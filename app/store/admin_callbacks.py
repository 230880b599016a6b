"""Deliveries of all clients, as operators see them: where each went, never the path of a URL, nor what was told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.message import Callback, CallbackState, EventId, MessageId
from app.store.admin_rows import Rows, events, indexed, page_of_all
from app.store.messages import callback_of
from app.store.pages import Row, row_of
from app.store.records import Record

if TYPE_CHECKING:
    from app.store.database import Database


@dataclass(frozen=True, slots=True)
class SeenDelivery:
    """The delivery of an event, whose it is, and where it goes: scheme, host and port."""

    callback: Callback
    message_id: MessageId
    client: str
    destination: str | None


class AdminCallbacks:
    """The store's face to operators who look for deliveries."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def page(
        self,
        clients: Sequence[str],
        state: CallbackState,
        destination: str | None,
        *,
        limit: int,
        cursor: str | None,
    ) -> tuple[list[SeenDelivery], str | None]:
        """Newest first, and the cursor to go on from; shorter than asked where others' destinations were left out.

        ValueError if the cursor is not one of ours.
        """
        after = row_of(cursor)
        lists = await asyncio.gather(*(self._of(one, state, limit, after) for one in clients))
        ids, more = page_of_all(lists, limit)
        flats = await self._db.read_many([("HGETALL", self._db.key("e", one)) for one in ids])
        records = [(EventId(one), Record.of_flat(flat)) for one, flat in zip(ids, flats, strict=True)]
        seen = [_delivery(one, record) for one, record in records if record]
        return [
            one for one in seen if one.callback.state is state and destination in (None, one.destination)
        ], more

    async def _of(self, client: str, state: CallbackState, limit: int, after: Row | None) -> Rows:
        if state is CallbackState.DELIVERED:
            return await events(
                self._db,
                client,
                lambda event: event.text("st") == state,
                lambda event_id, _: event_id,
                limit=limit,
                after=after,
            )
        is_dead = state is CallbackState.DEAD
        index = self._db.key("dead", client) if is_dead else self._db.key("pending", client)
        return await indexed(self._db, index, limit=limit, after=after)


def _delivery(event_id: EventId, record: Record) -> SeenDelivery:
    return SeenDelivery(
        callback_of(event_id, record),
        MessageId(record.text("m") or ""),
        record.text("cl") or "",
        record.text("d"),
    )
