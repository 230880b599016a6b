"""Answers in JSON, as the contract shapes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from app.message import Callback, CallbackState, Message, TimelineEntry
from app.store.messages import MessageDetail

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

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


_ON_EVERY_ANSWER = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class JsonAnswer:
    """JSON that is encoded already, as an ASGI application: Litestar's own answers cost a tenth of an acceptance."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        self._body, self._status = body, status
        self._headers = [
            *_ON_EVERY_ANSWER,
            (b"content-length", b"%d" % len(body)),
            *((name.lower().encode(), value.encode()) for name, value in headers.items()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> JsonAnswer:
    """The value as JSON; what stands under /v1 is not to be kept by caches."""
    return raw_answer(encode(value), status, headers)


def raw_answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> JsonAnswer:
    """As `json_answer`, of what is encoded already."""
    return JsonAnswer(body, status, headers or {})
