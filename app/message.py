"""A message: its states, the moves between them, and how it is shown.

This module owns the vocabulary of the public contract (section 4) and imports nothing of ours. The Lua
scripts of the store are handed `MOVES` when they are loaded, so a move that is not in this table cannot be made.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import NewType

import msgspec

MessageId = NewType("MessageId", str)
EventId = NewType("EventId", str)
BatchId = NewType("BatchId", str)


class State(StrEnum):
    """Where a message is in its life."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    ANSWERED = "answered"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNDETERMINED = "undetermined"


MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.SUBMITTING, State.EXPIRED, State.CANCELLED, State.UNDETERMINED}),
    State.SUBMITTING: frozenset({State.QUEUED, State.SUBMITTED, State.REJECTED, State.UNDETERMINED}),
    State.SUBMITTED: frozenset({State.ANSWERED, State.FAILED, State.UNDETERMINED}),
    State.ANSWERED: frozenset(),
    State.FAILED: frozenset(),
    State.REJECTED: frozenset(),
    State.EXPIRED: frozenset(),
    State.CANCELLED: frozenset(),
    State.UNDETERMINED: frozenset({State.ANSWERED, State.FAILED}),
}
"""Every move there is. `undetermined` alone is final and may still be settled, by a late row of the export."""

FINAL = frozenset(
    {State.ANSWERED, State.FAILED, State.REJECTED, State.EXPIRED, State.CANCELLED, State.UNDETERMINED}
)


class Reason(StrEnum):
    """Why a message ended as it did; which reasons go with which state is the contract's table."""

    BUSY = "busy"
    NO_ANSWER = "no_answer"
    DECLINED = "declined"
    UNREACHABLE = "unreachable"
    INVALID_NUMBER = "invalid_number"
    NETWORK_ERROR = "network_error"
    OTHER = "other"
    NOT_ACCEPTED = "not_accepted"
    INVALID_CONTACT = "invalid_contact"
    CAMPAIGN_STOPPED = "campaign_stopped"
    CAMPAIGN_INVALID = "campaign_invalid"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    ACCOUNT_LOCKED = "account_locked"
    CEILING = "ceiling"
    PAUSED = "paused"
    BACKLOG = "backlog"
    REQUESTED = "requested"
    SUPERSEDED = "superseded"
    NO_OUTCOME = "no_outcome"
    AMBIGUOUS_IMPORT = "ambiguous_import"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider's export says of a call. `call_id` is text, whatever the provider sent."""

    call_id: str
    caller_id: str
    called_at: str | None
    """RFC 3339 with the account's offset; None where the provider's time could not be read."""
    duration: int
    """Seconds the person listened."""
    key_press: str
    keys: list[str]
    note: str
    state: int
    late: bool = False
    """Called after `expires_at`, by the provider's doing."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message as callers see it: the answer to a POST, and `data` of a callback. Never holds the code."""

    id: MessageId
    campaign: str
    state: State
    reason: str | None
    phone_number: str
    reference: str | None
    metadata: dict[str, str]
    callback_url: str | None
    accepted_at: str
    expires_at: str
    submitted_at: str | None
    finished_at: str | None
    call: Call | None
    revision: int


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a message's life."""

    at: str
    event: str
    detail: str


class CallbackState(StrEnum):
    """Where the delivery of an event is. `none` stands for a message that has had no event yet."""

    NONE = "none"
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery of one event to the callback URL."""

    event_id: EventId | None
    type: str | None
    state: CallbackState
    attempts: int = 0
    last_status: int | None = None
    last_error: str | None = None
    next_attempt_at: str | None = None


def rfc3339(at_ms: int) -> str:
    """Milliseconds since the epoch as the API writes a time: UTC, milliseconds, `Z`."""
    second, ms = divmod(at_ms, 1000)
    return f"{_to_the_second(second)}.{ms:03d}Z"


@lru_cache(maxsize=128)
def _to_the_second(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%S}"


def mask_number(e164: str) -> str:
    """A phone number as logs may show it: `+84901***567`."""
    return f"{e164[:6]}***{e164[-3:]}" if len(e164) > 9 else "***"
