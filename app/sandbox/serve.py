"""Serving a sandbox with uvicorn: signals, the port, and the power to break a connection off.

Knows uvicorn; knows nothing of what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import struct
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.sandbox.replies import CONNECTION_EXTENSION

if TYPE_CHECKING:
    from litestar import Litestar

GRACE_S = 1
"""How long answers under way (a hung one, say) may take after the signal to stop."""

STARTUP_S = 10

_LINGER_RESET = struct.pack("ii", 1, 0)


class PortInUse(OSError):
    """Something else listens there; says in one line where."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} on {host} is in use")


class _BreakableProtocol(HttpToolsProtocol):
    """uvicorn's own, which puts into each request's scope the means to break its connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CONNECTION_EXTENSION: self._break}  # type: ignore[dict-item]

    def _break(self, reset: bool) -> None:
        if not reset:
            self.transport.close()
            return
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self.transport.abort()


class _Server(uvicorn.Server):
    """uvicorn's own, but a signal that stopped it is not raised again: the process ends with exit code 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _QuietServer(_Server):
    """One of several in a process: leaves the signals to whoever owns the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises PortInUse, or OSError for a host that is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only where the protocol is named does asyncio send without delay: 40 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from error
        raise
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a bound socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve_until_stopped(app: Litestar, listener: socket.socket, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `announce` is called with the URL when requests are taken."""
    server = _Server(_config(app))

    async def serve() -> None:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await _until_started(server, serving)
        announce(url_of(listener))
        await serving

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


@contextlib.asynccontextmanager
async def serving(app: Litestar, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve in the running loop, for tests: gives the base URL, stops at the end of the block."""
    listener = listen(host, port)
    server = _QuietServer(_config(app))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await _until_started(server, task)
        yield url_of(listener)
    finally:
        server.should_exit = True
        await task


async def _until_started(server: uvicorn.Server, serving_task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(STARTUP_S):
        while not server.started and not serving_task.done():  # noqa: ASYNC110 - uvicorn tells no other way
            await asyncio.sleep(0.005)


def _config(app: Litestar) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_BreakableProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="critical",
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )


def say(line: str) -> None:
    """One line to whoever sits at the terminal."""
    sys.stderr.write(f"otp-relay sandbox: {line}\n")
