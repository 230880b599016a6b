"""How a message and its events are written in Redis, and how they are read back in the contract's shape.

Owns the names of the record's fields and the sealed body. The answer to a POST and the body of a callback are made
here from the record alone, so that they are the same bytes each time they are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import takewhile

import msgspec

from app.message import Call, EventId, Message, MessageId, State, rfc3339
from app.sealing import Keyring


class Body(msgspec.Struct, frozen=True, array_like=True):
    """What a caller sent and only its owner may read: kept sealed under the message's id."""

    phone_number: str
    """E.164."""
    reference: str | None
    metadata: dict[str, str]
    callback_url: str | None
    variables: dict[str, str]


_encode_body = msgspec.msgpack.Encoder().encode
_decode_body = msgspec.msgpack.Decoder(Body).decode
_encode_call = msgspec.msgpack.Encoder().encode
_KEPT_OF_CALL = ("call_id", "caller_id", "called_at", "duration", "key_press", "keys", "note", "state")
_KeptCall = tuple[str, str, str | None, int, str, list[str], str, int]
"""By their place, for names would take as much as they name. What was written before has the names."""
_decode_call = msgspec.msgpack.Decoder(_KeptCall | Call).decode


def seal_body(keyring: Keyring, message_id: str, body: Body) -> bytes:
    """The body as the record keeps it."""
    return keyring.seal(_encode_body(body), message_id)


def open_body(keyring: Keyring, message_id: str, sealed: bytes) -> Body:
    """The body as it was sent. `UnsealableError` if its key is gone."""
    return _decode_body(keyring.open(sealed, message_id))


def seal_code(keyring: Keyring, message_id: str, code: str) -> bytes:
    """A one-time code as the record keeps it until its import is settled."""
    return keyring.seal(code.encode(), f"{message_id}/code")


def open_code(keyring: Keyring, message_id: str, sealed: bytes) -> str:
    """The code. It goes into an import and nowhere else."""
    return keyring.open(sealed, f"{message_id}/code").decode()


def seal_call(keyring: Keyring, number_hash: str, call: Call) -> bytes:
    """A row of the export as the record keeps it, bound to the number that it was about."""
    kept = [getattr(call, name) for name in _KEPT_OF_CALL]
    return keyring.seal(_encode_call(kept), f"call/{number_hash}")


def open_call(keyring: Keyring, number_hash: str, sealed: bytes) -> Call:
    """The row. `UnsealableError` if its key is gone."""
    found = _decode_call(keyring.open(sealed, f"call/{number_hash}"))
    return found if isinstance(found, Call) else Call(**dict(zip(_KEPT_OF_CALL, found, strict=True)))


def _late(call: Call, expires_at_ms: int) -> Call:
    if call.called_at is None or datetime.fromisoformat(call.called_at).timestamp() * 1000 <= expires_at_ms:
        return call
    return msgspec.structs.replace(call, late=True)


_PIECES = 8
"""As in `prelude.lua`."""


def pieces_of(name: str) -> list[str]:
    """The fields that hold a long value of a message's record: `b`, `k` or `t`."""
    return [name, *(f"{name}{n}" for n in range(1, _PIECES))]


class Record:
    """A record as Redis gave it: fields by name, values in bytes; absent and empty are the same."""

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        self._fields = fields

    def _whole(self, name: str) -> bytes | None:
        """A long value: its pieces, as `prelude.lua` keeps them, together."""
        pieces = takewhile(bool, (self._fields.get(piece.encode()) for piece in pieces_of(name)))
        return b"".join(piece for piece in pieces if piece) or None

    @classmethod
    def of(cls, names: Sequence[str], values: Sequence[bytes]) -> Record:
        """From the answer of an HMGET."""
        return cls({name.encode(): value for name, value in zip(names, values, strict=True) if value})

    @classmethod
    def of_flat(cls, flat: Sequence[bytes]) -> Record:
        """From the answer of an HGETALL."""
        return cls(dict(zip(flat[::2], flat[1::2], strict=True)))

    def __bool__(self) -> bool:
        return bool(self._fields)

    def body(self) -> bytes:
        """The sealed body; empty where there is none."""
        return self._whole("b") or b""

    def timeline(self) -> str:
        """A line for each step. The first is in records of before alone, for `at` says the same."""
        lines = (self._whole("t") or b"").decode()
        return lines if " accepted " in lines else f"{self.text('at')} accepted \n{lines}"

    def text(self, name: str) -> str | None:
        """The value as text."""
        value = self._fields.get(name.encode())
        return value.decode() if value else None

    def number(self, name: str) -> int | None:
        """The value as a whole number."""
        value = self._fields.get(name.encode())
        return int(float(value)) if value else None

    def time(self, name: str) -> str | None:
        """Milliseconds since the epoch as RFC 3339."""
        at_ms = self.number(name)
        return None if at_ms is None else rfc3339(at_ms)

    def call(self, keyring: Keyring) -> Call | None:
        """The call, if an outcome is known."""
        sealed = self._whole("k")
        if not sealed:
            return None
        return _late(open_call(keyring, self.text("n") or "", sealed), self.number("ex") or 0)


def message_now(keyring: Keyring, message_id: MessageId, record: Record) -> Message:
    """The message as it is."""
    return _message(
        keyring,
        message_id,
        record,
        state=State(record.text("s") or ""),
        moment=record,
        call=record.call(keyring) if record.text("fi") else None,
    )


def message_taken(
    message_id: MessageId, campaign: str, body: Body, accepted_at_ms: int, expires_at_ms: int
) -> Message:
    """The first answer, from what was just written: as `message_accepted` of its record, which need not be opened."""
    return Message(
        id=message_id,
        campaign=campaign,
        state=State.QUEUED,
        reason=None,
        phone_number=body.phone_number,
        reference=body.reference,
        metadata=body.metadata,
        callback_url=body.callback_url,
        accepted_at=rfc3339(accepted_at_ms),
        expires_at=rfc3339(expires_at_ms),
        submitted_at=None,
        finished_at=None,
        call=None,
        revision=1,
    )


def message_accepted(keyring: Keyring, message_id: MessageId, record: Record) -> Message:
    """The message as its first answer showed it."""
    return _message(keyring, message_id, record, state=State.QUEUED, moment=Record({b"v": b"1"}), call=None)


def message_at_event(keyring: Keyring, message_id: MessageId, record: Record, event: Record) -> Message:
    """The message as of an event of its."""
    call = record.call(keyring) if event.text("k") else None
    return _message(keyring, message_id, record, state=State(event.text("ty") or ""), moment=event, call=call)


def _message(
    keyring: Keyring,
    message_id: MessageId,
    record: Record,
    *,
    state: State,
    moment: Record,
    call: Call | None,
) -> Message:
    body = open_body(keyring, message_id, record.body())
    return Message(
        id=message_id,
        campaign=record.text("ca") or "",
        state=state,
        reason=moment.text("r"),
        phone_number=body.phone_number,
        reference=body.reference,
        metadata=body.metadata,
        callback_url=body.callback_url,
        accepted_at=record.time("at") or "",
        expires_at=record.time("ex") or "",
        submitted_at=moment.time("su"),
        finished_at=moment.time("fi"),
        call=call,
        revision=moment.number("v") or 1,
    )


class EventBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a callback, and an event of the list of events."""

    type: str
    timestamp: str
    data: Message


def event_body(keyring: Keyring, message_id: MessageId, record: Record, event: Record) -> EventBody:
    """The event in the shape of Standard Webhooks: type, timestamp, data."""
    return EventBody(
        type=f"message.{event.text('ty')}",
        timestamp=event.time("at") or "",
        data=message_at_event(keyring, message_id, record, event),
    )


def keep_for(retention: timedelta, retry_schedule: Sequence[timedelta]) -> timedelta:
    """How long a finished record stays: the retention, and never less than its idempotency key and callbacks need."""
    callbacks = sum(retry_schedule, timedelta()) * 1.5
    return max(retention, timedelta(hours=25), callbacks + timedelta(hours=1))


def event_ids(record: Record) -> list[EventId]:
    """The ids of a message's events, oldest first."""
    return [EventId(one) for one in (record.text("ev") or "").split()]
