"""Answers in JSON, as the contract shapes them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from litestar import Response

from app.message import Callback, CallbackState, Message, TimelineEntry
from app.store.messages import MessageDetail

encode = msgspec.json.Encoder().encode


class DetailedMessage(Message, frozen=True, kw_only=True):
    """A message with its history; `callback` is the newest of `callbacks`."""

    timeline: list[TimelineEntry]
    callbacks: list[Callback]
    callback: Callback


class MessageList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of messages, newest first."""

    data: list[Message]
    next_cursor: str | None


class FieldProblem(msgspec.Struct, frozen=True):
    """One field at fault: an RFC 6901 pointer, and what is expected there."""

    pointer: str
    detail: str


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document of RFC 9457. `id` only where a message may have been accepted under it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = None
    id: str | None = None
    fault_id: str | None = None


_NO_CALLBACK = Callback(event_id=None, type=None, state=CallbackState.NONE)


def detailed(detail: MessageDetail) -> DetailedMessage:
    """The message as GET shows it."""
    fields = {name: getattr(detail.message, name) for name in Message.__struct_fields__}
    newest = detail.callbacks[-1] if detail.callbacks else _NO_CALLBACK
    return DetailedMessage(**fields, timeline=detail.timeline, callbacks=detail.callbacks, callback=newest)


def json_answer(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response[bytes]:
    """The value as JSON; what stands under /v1 is not to be kept by caches."""
    return raw_answer(encode(value), status, headers)


def raw_answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """JSON that is encoded already."""
    return Response(
        body,
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})},
    )
