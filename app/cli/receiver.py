"""The receiver of callbacks behind `listen`: verifies each by Standard Webhooks and hands on what it saw.

Keeps nothing. Answers 204 to what it verified, 401 to what it did not, so that the relay tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import uvicorn

from app.callbacks.signing import SignatureFault, verify
from app.message import mask_number

LARGEST_BODY = 1024 * 1024

_LONGEST_SHOWN = 64

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _Data(msgspec.Struct):
    id: str = "?"
    phone_number: str = "?"


class _Body(msgspec.Struct):
    type: str = "?"
    data: _Data = msgspec.field(default_factory=_Data)


@dataclass(frozen=True, slots=True)
class Received:
    """One POST to the receiver. `fault` is None for a callback whose signature is right."""

    webhook_id: str
    body: bytes
    fault: str | None

    @property
    def line(self) -> str:
        """`callback message.answered msg_… +84901***567 signature ok`."""
        read = _read(self.body)
        words = (read.type, read.data.id, mask_number(read.data.phone_number))
        verdict = "ok" if self.fault is None else "WRONG"
        return f"callback {' '.join(_shown(word) for word in words)} signature {verdict}"

    @property
    def json_line(self) -> str:
        """The same as one JSON object, with the body whole."""
        try:
            body: object = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            body = None
        seen = {"webhook_id": self.webhook_id, "signature": self.fault or "ok", "body": body}
        return msgspec.json.encode(seen).decode()


class Receiver:
    """An ASGI application. `show` is called with each POST, before it is answered."""

    def __init__(self, keys: Sequence[str], show: Callable[[Received], None]) -> None:
        self._keys = keys
        self._show = show

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _answer(send, 200, b"Callbacks go here, by POST.\n")
            return
        body = await _body_of(receive)
        if body is None:
            await _answer(send, 413, b"a callback is smaller\n")
            return
        received = self._verified(_headers(scope), body)
        self._show(received)
        if received.fault is None:
            await _answer(send, 204, b"")
        else:
            await _answer(send, 401, f"{received.fault}\n".encode())

    def _verified(self, headers: Mapping[str, str], body: bytes) -> Received:
        fault = None
        try:
            verify(self._keys, headers, body, now_s=time.time())
        except SignatureFault as error:
            fault = str(error)
        return Received(headers.get("webhook-id", ""), body, fault)


def serve_receiver(receiver: Receiver, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        receiver,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="critical",
        timeout_graceful_shutdown=1,
    )
    server = _Server(config, ready)
    asyncio.run(server.serve(sockets=[listener]))


class _Server(uvicorn.Server):
    """uvicorn's own, but it says when it is ready, and a signal that stopped it is not raised again."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        import signal

        assert threading.current_thread() is threading.main_thread()  # noqa: S101  signals come nowhere else
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def _body_of(receive: Receive) -> bytes | None:
    """The request's body; None if it is too large, or its sender has gone."""
    body = bytearray()
    while True:
        event = await receive()
        body += event.get("body", b"")
        if event["type"] == "http.disconnect" or len(body) > LARGEST_BODY:
            return None
        if not event.get("more_body"):
            return bytes(body)


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    if status == 204:
        headers = []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _read(body: bytes) -> _Body:
    try:
        return msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Body()


def _shown(word: str) -> str:
    """A word of a stranger's body, fit for a terminal."""
    shown = "".join(character for character in word if character.isprintable() and character != " ")
    return shown[:_LONGEST_SHOWN] or "?"
