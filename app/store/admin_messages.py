"""Messages of all clients, as operators may see them: no code, no variable, no metadata, no whole number or URL.

Owns what is left out. Changes nothing. Where a page was filtered it may be shorter than asked, and still lead on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.message import Callback, MessageId, State, TimelineEntry, mask_number
from app.sealing import UnsealableError
from app.store.admin_rows import Rows, events, in_hand, indexed, page_of_all
from app.store.messages import callback_of, timeline_of
from app.store.pages import Row, row_of
from app.store.records import Record, event_ids, open_body

if TYPE_CHECKING:
    from app.message import Call
    from app.store.database import Database

_HIDDEN_NUMBER = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMessage:
    """A message as an operator sees it. `phone_number` is masked, all of it where no key opens the record."""

    message_id: MessageId
    client: str
    campaign: str
    state: State
    reason: str | None
    phone_number: str
    reference: str | None
    destination: str | None
    """Scheme, host and port of its callback URL; the rest of a URL may hold a token."""
    accepted_at: str
    expires_at: str
    submitted_at: str | None
    finished_at: str | None
    call: Call | None
    revision: int


@dataclass(frozen=True, slots=True)
class SeenDetail:
    """A message with its history."""

    message: SeenMessage
    timeline: list[TimelineEntry]
    callbacks: list[Callback]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSearch:
    """By number (E.164) or by reference; else all in a state, which must be there then."""

    clients: Sequence[str]
    campaigns: Sequence[str]
    sources: Sequence[str]
    """Where outcomes of these campaigns are asked for."""
    state: State | None = None
    phone_number: str | None = None
    reference: str | None = None

    def admits(self, one: SeenMessage) -> bool:
        """Whether the message is among those looked for."""
        wanted = one.client in self.clients and one.campaign in self.campaigns
        return wanted and self.state in (None, one.state)


class AdminMessages:
    """The store's face to operators who look for messages."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def show(self, message_id: str) -> SeenDetail | None:
        """The message, whosever it is; None: there is none."""
        record = Record.of_flat(await self._db.read("HGETALL", self._db.key("m", message_id)))
        if not record:
            return None
        ids = event_ids(record)
        found = await self._db.read_many([("HGETALL", self._db.key("e", one)) for one in ids])
        callbacks = [
            callback_of(one, Record.of_flat(flat)) for one, flat in zip(ids, found, strict=True) if flat
        ]
        return SeenDetail(self._seen(MessageId(message_id), record), timeline_of(record), callbacks)

    async def page(
        self, search: MessageSearch, *, limit: int, cursor: str | None
    ) -> tuple[list[SeenMessage], str | None]:
        """Newest first, and the cursor to go on from. ValueError if it is not one of ours."""
        ids, more = page_of_all(await asyncio.gather(*self._lists(search, limit, row_of(cursor))), limit)
        flats = await self._db.read_many([("HGETALL", self._db.key("m", one)) for one in ids])
        records = [(MessageId(one), Record.of_flat(flat)) for one, flat in zip(ids, flats, strict=True)]
        seen = [self._seen(one, record) for one, record in records if record]
        return [one for one in seen if search.admits(one)], more

    def _lists(
        self, search: MessageSearch, limit: int, after: Row | None
    ) -> list[Coroutine[object, object, Rows]]:
        state = search.state
        if search.phone_number is not None or search.reference is not None:
            keys = self._of_a_person(search)
        elif state is State.QUEUED:
            places = [(campaign, client) for campaign in search.campaigns for client in search.clients]
            keys = [self._db.key("due", *place) for place in places]
            keys += [self._db.key("waiting", *place) for place in places]
        elif state is State.SUBMITTED:
            keys = [self._db.key("open", source) for source in search.sources]
        elif state is State.SUBMITTING:
            return [in_hand(self._db, search.sources, limit=limit, after=after)]
        else:
            return [self._ended(client, state, limit, after) for client in search.clients]
        return [indexed(self._db, one, limit=limit, after=after) for one in keys]

    def _of_a_person(self, search: MessageSearch) -> list[str]:
        key, index = self._db.key, self._db.index
        if search.phone_number is not None:
            number = index.of("number", search.phone_number)
            return [key("by_number", client, number) for client in search.clients]
        reference = index.of("reference", search.reference or "")
        return [key("by_reference", client, reference) for client in search.clients]

    async def _ended(self, client: str, state: State | None, limit: int, after: Row | None) -> Rows:
        return await events(
            self._db,
            client,
            lambda event: event.text("ty") == state,
            lambda _, event: event.text("m") or "",
            limit=limit,
            after=after,
        )

    def _seen(self, message_id: MessageId, record: Record) -> SeenMessage:
        number, reference, call = _HIDDEN_NUMBER, None, None
        try:
            body = open_body(self._db.keyring, message_id, record.body())
            number, reference = mask_number(body.phone_number), body.reference
            call = record.call(self._db.keyring) if record.text("fi") else None
        except UnsealableError:
            pass  # its key is gone: what stands in the clear is shown all the same
        return SeenMessage(
            message_id=message_id,
            client=record.text("cl") or "",
            campaign=record.text("ca") or "",
            state=State(record.text("s") or ""),
            reason=record.text("r"),
            phone_number=number,
            reference=reference,
            destination=record.text("d"),
            accepted_at=record.time("at") or "",
            expires_at=record.time("ex") or "",
            submitted_at=record.time("su"),
            finished_at=record.time("fi"),
            call=call,
            revision=record.number("v") or 1,
        )
