"""An answer of the provider, whole or broken off, and its refusals word for word.

A reply is an ASGI application. To break a connection it needs what `serve` puts into the scope; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from enum import Enum
from typing import TYPE_CHECKING, cast

import msgspec

from app.sandbox.fault_board import FaultBoard
from app.sandbox.faults import CodeAsNumber, ErrorStatus

if TYPE_CHECKING:
    from litestar.types import HTTPDisconnectEvent, HTTPRequestEvent, Receive, Scope, Send

CONNECTION_EXTENSION = "otp_relay.connection"
"""Where the scope's extensions hold a `BreakConnection`."""

BreakConnection = Callable[[bool], None]
"""Ends the client's connection: True with a TCP reset, False when what was written has left."""

HTML_ERROR = (
    "<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center>"
    "<hr><center>nginx</center></body></html>"
)


class Delivery(Enum):
    """How much of a reply reaches the client."""

    WHOLE = "whole"
    HALF = "half"
    RESET = "reset"
    NEVER = "never"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """Status, body and headers, and how they are delivered."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    delivery: Delivery = Delivery.WHOLE

    def dated(self, provider_ms: int) -> Reply:
        """The same with a `Date` of the provider's clock."""
        date = (b"date", formatdate(provider_ms / 1000, usegmt=True).encode())
        return replace(self, headers=(*self.headers, date))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.delivery in (Delivery.WHOLE, Delivery.HALF):
            await self._send(send)
        if self.delivery is Delivery.WHOLE:
            return
        if self.delivery is not Delivery.NEVER:
            extensions = scope.get("extensions") or {}
            cast(BreakConnection, extensions[CONNECTION_EXTENSION])(self.delivery is Delivery.RESET)
        await _until_gone(receive)

    async def _send(self, send: Send) -> None:
        headers = [
            (b"content-type", self.content_type.encode()),
            (b"content-length", str(len(self.body)).encode()),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        half = self.delivery is Delivery.HALF
        body = self.body[: len(self.body) // 2] if half else self.body
        await send({"type": "http.response.body", "body": body, "more_body": half})


async def _until_gone(receive: Receive) -> None:
    event: HTTPRequestEvent | HTTPDisconnectEvent | None = None
    while event is None or event["type"] != "http.disconnect":
        event = cast("HTTPRequestEvent | HTTPDisconnectEvent", await receive())


class Refusal(Enum):
    """The provider's refusals: code, message, and the HTTP status that would fit."""

    TOKEN = ("401", "access token không chính xác. bạn không có quyền truy cập", 401)
    SECRET_KEY = ("401", "secret_key không chính xác", 401)
    CONTACTS = ("400", "contacts không đúng định dạng", 400)
    CAMPAIGN = ("01", "campaign_id không hợp lệ", 404)
    STOPPED = ("03", "The campaign stopped. Can not import data", 409)

    @property
    def code(self) -> str:
        return self.value[0]


def json_reply(content: object) -> Reply:
    """200 with this content."""
    return Reply(body=msgspec.json.encode(content))


def html_error(status: int) -> Reply:
    """What a proxy in front of the provider says."""
    return Reply(status=status, body=HTML_ERROR.format(status=status).encode(), content_type="text/html")


def refuse(refusal: Refusal, faults: FaultBoard) -> Reply:
    """The refusal under status 200, or as a fault has it."""
    code, message, fitting_status = refusal.value
    shown: str | int = int(code) if faults.take(CodeAsNumber) else code
    body = msgspec.json.encode({"status": 0, "code": shown, "message": message})
    carried = faults.take(ErrorStatus)
    if carried is None:
        return Reply(body=body)
    status = carried.status or fitting_status
    return html_error(status) if carried.html else Reply(status=status, body=body)
