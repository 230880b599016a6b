"""Events: a client's list of them, their deliveries by state, replay, and what the pusher takes and gives back.

Owns no state of its own; each change is one script. A client is shown its own events only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from app.message import Callback, CallbackState, EventId, MessageId
from app.sealing import UnsealableError
from app.store.messages import callback_of
from app.store.pages import newest_first
from app.store.records import EventBody, Record, event_body, open_body

if TYPE_CHECKING:
    from app.store.database import Database

_CLAIMED_EVENT = ("m", "ty", "v", "r", "su", "fi", "k", "at", "cl", "a")
_CLAIMED_MESSAGE = ("ca", "at", "ex", "n", "tp", "b", "k")
_NONE: Mapping[str, int] = MappingProxyType({})
_encode = msgspec.json.Encoder().encode

_STREAM_ID = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")

BREAKER_FAILURES = 5
BREAKER_PAUSE_MS = 5_000


def stream_id(cursor: str) -> str:
    """The cursor as a stream's id. ValueError if it is not one of ours."""
    parts = _STREAM_ID.fullmatch(cursor)
    if parts is None:
        raise ValueError("not a cursor of a list of events")
    return f"{parts[1]}-{parts[2] or 0}"


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event of a client's list, and the cursor that leads to the next."""

    event_id: EventId
    cursor: str
    body: EventBody


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of an event, as a list of them shows it."""

    callback: Callback
    message_id: MessageId
    destination: str | None


@dataclass(frozen=True, slots=True)
class DueEvent:
    """An event leased for one attempt. `body` is the same bytes on every attempt; empty if no key opens the record."""

    event_id: EventId
    message_id: MessageId
    client: str
    url: str
    body: bytes
    attempts: int
    made_at_ms: int
    fence: str
    traceparent: str | None
    destination: str
    """The origin that it goes to, as text."""
    more_waited: bool
    """Others were due there too, and the destination's slots were too few for them."""


class Events:
    """The store's face for events and their deliveries."""

    def __init__(self, database: Database, *, keep_ms: int) -> None:
        self._db = database
        self._keep_ms = keep_ms

    async def after(self, client: str, cursor: str | None, limit: int) -> list[ListedEvent]:
        """This client's events in the order they were made. ValueError if the cursor is not one of ours."""
        start = "-" if cursor is None else f"({stream_id(cursor)}"
        while True:
            entries = await self._db.read(
                "XRANGE", self._db.key("events", client), start, "+", "COUNT", limit
            )
            found = [(at.decode(), EventId(fields[1].decode())) for at, fields in entries]
            bodies = await self._bodies([event for _, event in found])
            listed = [ListedEvent(event, at, bodies[event]) for at, event in found if event in bodies]
            # The stream is trimmed by whole nodes, so it may name events whose records are gone: go on past them.
            if listed or len(found) < limit:
                return listed
            start = f"({found[-1][0]}"

    async def _bodies(self, ids: Sequence[EventId]) -> dict[EventId, EventBody]:
        events = [
            Record.of_flat(flat)
            for flat in await self._db.read_many([("HGETALL", self._db.key("e", one)) for one in ids])
        ]
        messages = await self._db.read_many(
            [("HGETALL", self._db.key("m", event.text("m") or "")) for event in events]
        )
        return {
            one: event_body(
                self._db.keyring, MessageId(event.text("m") or ""), Record.of_flat(message), event
            )
            for one, event, message in zip(ids, events, messages, strict=True)
            if event and message
        }

    async def deliveries(
        self, client: str, state: CallbackState, *, limit: int, cursor: str | None
    ) -> tuple[list[Delivery], str | None]:
        """Deliveries in that state, newest first, and the cursor to go on from. ValueError: not a cursor of ours."""
        if state is CallbackState.DELIVERED:
            return await self._delivered(client, limit, cursor)
        index = self._db.key("dead" if state is CallbackState.DEAD else "pending", client)
        ids, more = await newest_first(self._db, index, limit=limit, cursor=cursor)
        listed = await self._deliveries([EventId(one) for one in ids])
        return [one for one in listed if one.callback.state is state], more

    async def _delivered(
        self, client: str, limit: int, cursor: str | None
    ) -> tuple[list[Delivery], str | None]:
        end = "+" if cursor is None else f"({stream_id(cursor)}"
        if end == "(0-0":
            return [], None  # nothing is older than the oldest id there can be, and Redis calls that a fault
        rows = await self._db.read("XREVRANGE", self._db.key("events", client), end, "-", "COUNT", limit)
        listed = await self._deliveries([EventId(fields[1].decode()) for _, fields in rows])
        found = [one for one in listed if one.callback.state is CallbackState.DELIVERED]
        return found, rows[-1][0].decode() if len(rows) == limit else None

    async def _deliveries(self, ids: Sequence[EventId]) -> list[Delivery]:
        flats = await self._db.read_many([("HGETALL", self._db.key("e", one)) for one in ids])
        records = [(one, Record.of_flat(flat)) for one, flat in zip(ids, flats, strict=True) if flat]
        return [
            Delivery(callback_of(one, record), MessageId(record.text("m") or ""), record.text("d"))
            for one, record in records
        ]

    async def replay(self, client: str, event_id: str) -> str:
        """`queued`, `unknown`, or `no callback`: the event has no URL to go to."""
        reply: bytes = await self._db.commit("replay_event", event_id, client, self._keep_ms)
        return reply.decode()

    async def ids_since(
        self, client: str, since_ms: int, state: CallbackState, *, most: int, destination: str | None = None
    ) -> list[EventId]:
        """Events of this client made since then whose delivery is in that state, oldest first, at most `most`.

        `destination`: those that go there alone.
        """
        rows = await self._db.read(
            "XRANGE", self._db.key("events", client), f"{max(since_ms, 0)}-0", "+", "COUNT", most
        )
        listed = await self._deliveries([EventId(fields[1].decode()) for _, fields in rows])
        return [
            one.callback.event_id
            for one in listed
            if one.callback.state is state
            and one.callback.event_id
            and destination in (None, one.destination)
        ]

    async def claim(
        self,
        *,
        most: int,
        slots: int,
        lease_ms: int,
        fence: str,
        slots_of: Mapping[str, int] = _NONE,
        share: int | None = None,
        whole: int = 1,
        held: Mapping[str, int] = _NONE,
    ) -> tuple[int | None, list[DueEvent]]:
        """Due events, leased; and in how many ms there is more to do (None: nothing waits).

        A destination gets as many at once as `slots_of` says, or else `slots`, other workers' included. No client
        gets more than `share`, of which it holds `held` already; what it has left, as a part of `whole`, is the part
        of those slots that its destinations get.
        """
        bounds = _encode({"slots": dict(slots_of), "held": dict(held), "whole": whole})
        reply = await self._db.run(
            "claim_events", most, slots, lease_ms, fence, "" if share is None else share, bounds
        )
        wait_ms = None if reply[0] < 0 else int(reply[0])
        return wait_ms, [self._due(row, fence) for row in reply[1:]]

    def _due(self, row: tuple[bytes, bytes, list[bytes], list[bytes], int], fence: str) -> DueEvent:
        event_id, destination, event_values, message_values, more = row
        event = Record.of(_CLAIMED_EVENT, event_values)
        message = Record.of(_CLAIMED_MESSAGE, message_values)
        message_id = MessageId(event.text("m") or "")
        try:
            body = _encode(event_body(self._db.keyring, message_id, message, event))
            url = open_body(self._db.keyring, message_id, message.body()).callback_url or ""
        except UnsealableError:
            body, url = b"", ""  # one record of a lost key must not keep the others of this claim
        return DueEvent(
            event_id=EventId(event_id.decode()),
            message_id=message_id,
            client=event.text("cl") or "",
            url=url,
            body=body,
            attempts=event.number("a") or 0,
            made_at_ms=event.number("at") or 0,
            fence=fence,
            traceparent=message.text("tp"),
            destination=destination.decode(),
            more_waited=bool(more),
        )

    async def settle(
        self,
        due: DueEvent,
        verdict: str,
        *,
        status: int | None,
        error: str | None,
        retry_in_ms: int,
        refused: bool = False,
    ) -> bool:
        """Writes what became of an attempt: `delivered`, `retry` or `dead`. False: the lease was another's by then.

        `refused`: it was not sent, which is no failure of the destination's.
        """
        reply = await self._db.run(
            "settle_event",
            due.event_id,
            due.fence,
            verdict,
            "" if status is None else status,
            error or "",
            retry_in_ms,
            0 if refused else BREAKER_FAILURES,
            BREAKER_PAUSE_MS,
        )
        settled: bool = reply[0] == b"settled"
        return settled
