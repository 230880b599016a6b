"""Messages as the API needs them: accept, show, list, cancel.

Owns no state of its own; each change is one script. A client is shown its own messages only.
"""

from __future__ import annotations

import base64
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.message import Callback, CallbackState, EventId, Message, MessageId, TimelineEntry, rfc3339
from app.store.pages import newest_first
from app.store.records import (
    Body,
    Record,
    event_ids,
    message_accepted,
    message_now,
    message_taken,
    seal_body,
    seal_code,
)

if TYPE_CHECKING:
    from app.config import CampaignConfig, ClientConfig
    from app.secret import Secret
    from app.store.database import Database

IDEMPOTENCY_LIFE_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message that passed every check of its fields, on its way into the store."""

    client: ClientConfig
    campaign: CampaignConfig
    body: Body
    otp_code: Secret | None
    ttl_ms: int | None
    """From acceptance, by Redis' clock. Or `expires_at_ms`; neither: the campaign's default."""
    expires_at_ms: int | None
    destination: str | None
    """Scheme, host and port of the callback URL."""
    traceparent: str | None
    idempotency_key: str | None
    """Unique within the client; the store keeps a keyed hash of it."""
    canonical_body: bytes = field(repr=False)
    """The parsed request in one spelling, for the fingerprint that tells the same body from another."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A new message, durable. Of the client's rate limit, `remaining` are left, and one more in `more_in_ms`."""

    message: Message
    remaining: int
    more_in_ms: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """The key was used with this very body before: the first answer again."""

    message: Message


@dataclass(frozen=True, slots=True)
class KeyConflict:
    """The key was used with another body."""


@dataclass(frozen=True, slots=True)
class Limited:
    """A rate limit is used up. `scope` is `client` or `number`."""

    scope: str
    retry_after_ms: int
    burst: int
    period_ms: int


@dataclass(frozen=True, slots=True)
class QueueFull:
    """The campaign's queue is at its bound."""

    queued: int


@dataclass(frozen=True, slots=True)
class Draining:
    """An operator drains the campaign: it takes no new message."""


@dataclass(frozen=True, slots=True)
class MessageDetail:
    """A message with its history."""

    message: Message
    timeline: list[TimelineEntry]
    callbacks: list[Callback]


@dataclass(frozen=True, slots=True)
class MessagePage:
    """A page of a list, newest first; `next_cursor` None: no more."""

    messages: list[Message]
    next_cursor: str | None


def new_message_id() -> MessageId:
    """`msg_` and 26 characters: the time in ms (48 bits), so that ids sort, the shard (7), and 75 random bits."""
    value = (int(time.time() * 1000) << 82) | (0 << 75) | int.from_bytes(os.urandom(10)) >> 5
    # 130 bits are 26 characters of 5; the alphabet keeps the order of the bits.
    return MessageId("msg_" + base64.b32hexencode((value << 6).to_bytes(17, "big"))[:26].decode().lower())


class Messages:
    """The store's face to the API."""

    def __init__(self, database: Database, *, keep_ms: int) -> None:
        self._db = database
        self._keep_ms = keep_ms

    async def accept(
        self, draft: Draft, message_id: MessageId
    ) -> Accepted | Replayed | KeyConflict | Limited | QueueFull | Draining:
        """Takes the message in, durably, or says why not; then nothing was written.

        `StoreUnavailableError`: nothing was accepted. `OutcomeUnknownError`: it may have been, under `message_id`.
        """
        reply = await self._db.commit("accept", *self._accept_arguments(draft, message_id))
        word = reply[0].decode()
        if word == "accepted":
            message = message_taken(message_id, draft.campaign.name, draft.body, *reply[1:3])
            return Accepted(message, reply[3], reply[4])
        if word == "replayed":
            first_id = MessageId(reply[1].decode())
            record = Record.of(("ca", "b", "at", "ex"), reply[2:])
            return Replayed(message_accepted(self._db.keyring, first_id, record))
        if word == "limited":
            return Limited(reply[1].decode(), *reply[2:])
        if word == "draining":
            return Draining()
        return QueueFull(reply[1]) if word == "full" else KeyConflict()

    def _accept_arguments(self, draft: Draft, message_id: MessageId) -> list[str | bytes | int]:
        client, campaign, index = draft.client, draft.campaign, self._db.index
        ttl_ms = draft.ttl_ms or round(campaign.default_ttl.total_seconds() * 1000)
        code = draft.otp_code
        key = draft.idempotency_key
        return [
            message_id,
            client.name,
            campaign.name,
            campaign.account,
            index.of("number", draft.body.phone_number),
            index.of("reference", draft.body.reference) if draft.body.reference is not None else "",
            seal_body(self._db.keyring, message_id, draft.body),
            b"" if code is None else seal_code(self._db.keyring, message_id, code.reveal()),
            ttl_ms,
            draft.expires_at_ms or 0,
            index.of("idempotency", key) if key is not None else "",
            index.fingerprint(draft.canonical_body) if key is not None else "",
            IDEMPOTENCY_LIFE_MS,
            client.rate_limit.burst,
            round(client.rate_limit.period.total_seconds() * 1000),
            campaign.per_number_limit.burst,
            round(campaign.per_number_limit.period.total_seconds() * 1000),
            campaign.max_queued,
            self._keep_ms,
            draft.destination or "",
            "1" if "submitted" in client.events else "",
            "1" if campaign.supersede_queued and campaign.kind == "voice_otp" else "",
            draft.traceparent or "",
        ]

    async def show(self, message_id: str, client: str | None) -> MessageDetail | None:
        """The message with its history; None if there is none, or it is another client's. `client` None: anyone's."""
        record = Record.of_flat(await self._db.read("HGETALL", self._db.key("m", message_id)))
        if not record or (client is not None and record.text("cl") != client):
            return None
        ids = event_ids(record)
        events = await self._db.read_many([("HGETALL", self._db.key("e", one)) for one in ids])
        return MessageDetail(
            message_now(self._db.keyring, MessageId(message_id), record),
            timeline_of(record),
            [callback_of(one, Record.of_flat(flat)) for one, flat in zip(ids, events, strict=True) if flat],
        )

    async def cancel(self, message_id: str, client: str) -> str:
        """`cancelled` (also if it already was), `unknown`, or `too late`."""
        reply: bytes = await self._db.commit("cancel", message_id, client)
        return reply.decode()

    async def by_number(
        self, client: str, phone_number: str, *, limit: int, cursor: str | None
    ) -> MessagePage:
        """This client's messages to the number (E.164). ValueError if the cursor is not one of ours."""
        index = self._db.key("by_number", client, self._db.index.of("number", phone_number))
        return await self._page(index, limit, cursor)

    async def by_reference(
        self, client: str, reference: str, *, limit: int, cursor: str | None
    ) -> MessagePage:
        """This client's messages of that reference. ValueError if the cursor is not one of ours."""
        index = self._db.key("by_reference", client, self._db.index.of("reference", reference))
        return await self._page(index, limit, cursor)

    async def _page(self, index: str, limit: int, cursor: str | None) -> MessagePage:
        ids, more = await newest_first(self._db, index, limit=limit, cursor=cursor)
        records = await self._db.read_many([("HGETALL", self._db.key("m", one)) for one in ids])
        messages = [
            message_now(self._db.keyring, MessageId(one), Record.of_flat(flat))
            for one, flat in zip(ids, records, strict=True)
            if flat
        ]
        return MessagePage(messages, more)


def timeline_of(record: Record) -> list[TimelineEntry]:
    """The steps of a message's life, oldest first."""
    entries = []
    for line in record.timeline().splitlines():
        at, _, said = line.partition(" ")
        event, detail = _step(said)
        entries.append(TimelineEntry(at=rfc3339(int(float(at))), event=event, detail=detail))
    return entries


_TWO_WORDS = ("import ", "callback ", "call ")


def _step(said: str) -> tuple[str, str]:
    words = said.split(" ")
    length = 2 if said.startswith(_TWO_WORDS) else 1
    return " ".join(words[:length]), " ".join(words[length:]).strip()


def callback_of(event_id: EventId, event: Record) -> Callback:
    """The delivery of an event."""
    return Callback(
        event_id=event_id,
        type=f"message.{event.text('ty')}",
        state=CallbackState(event.text("st") or "none"),
        attempts=event.number("a") or 0,
        last_status=event.number("ls"),
        last_error=event.text("le"),
        next_attempt_at=event.time("na"),
    )
