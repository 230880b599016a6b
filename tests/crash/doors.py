"""The doors of a process to the outside, watched: whatever it writes to a socket, and whatever answers.

A loop whose outgoing connections report each request just before its bytes leave, and each answer just before the
process sees it. Below every library, so that no effect can go another way; what is said is what the bytes say.
Owns no knowledge of what an effect means, and changes no byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import uvloop

from tests.crash.wire import Conversation, conversation_of

Factory = Callable[[], asyncio.BaseProtocol]
Connected = tuple[asyncio.Transport, asyncio.BaseProtocol]


class Watcher(Protocol):
    """Is told of every effect, in the step in which it happens."""

    def before(self, name: str) -> None:
        """The request is about to leave."""

    def after(self, name: str, answer: str) -> None:
        """The answer came; the process has not seen it yet."""


class WatchedLoop(uvloop.Loop):
    """uvloop, with its outgoing connections watched."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self._watcher = watcher

    async def create_connection(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        wire = _Wire(self._watcher)
        transport, protocol = await super().create_connection(wire.watched(protocol_factory), *args, **kwargs)
        return _WatchedTransport(transport, wire), protocol

    async def create_unix_connection(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        wire = _Wire(self._watcher)
        transport, protocol = await super().create_unix_connection(
            wire.watched(protocol_factory), *args, **kwargs
        )
        return _WatchedTransport(transport, wire), protocol


class _Wire:
    """One connection: its first bytes tell which language it speaks."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._conversation: Conversation | None = None

    def watched(self, factory: Factory) -> Factory:
        def make() -> asyncio.BaseProtocol:
            protocol: Any = factory()
            made, received, lost = protocol.connection_made, protocol.data_received, protocol.connection_lost

            def data_received(data: bytes) -> None:
                self._received(bytes(data))
                received(data)

            def connection_lost(fault: Exception | None) -> None:
                self._lost()
                lost(fault)

            protocol.connection_made = lambda transport: made(_WatchedTransport(transport, self))
            protocol.data_received = data_received
            protocol.connection_lost = connection_lost
            return protocol  # type: ignore[no-any-return]

        return make

    def sent(self, data: bytes) -> None:
        if self._conversation is None:
            self._conversation = conversation_of(data)
        for name in self._conversation.asks(data):
            self._watcher.before(name)

    def _received(self, data: bytes) -> None:
        if self._conversation is not None:
            for name, answer in self._conversation.answers(data):
                self._watcher.after(name, answer)

    def _lost(self) -> None:
        if self._conversation is not None:
            for name in self._conversation.unanswered():
                self._watcher.after(name, "broken")


class _WatchedTransport:
    def __init__(self, transport: Any, wire: _Wire) -> None:
        self._transport = transport
        self._wire = wire

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._wire.sent(bytes(data))
        self._transport.write(data)

    def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        whole = b"".join(parts)
        self._wire.sent(whole)
        self._transport.write(whole)
