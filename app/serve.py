"""Serves the API with uvicorn in this process: the port, signals, and a last word where it cannot start.

Going down, it is not ready any more and takes no new connection, but answers what still comes on open ones for a
moment, each with `Connection: close`: a caller that keeps its connections is never cut off in the middle of a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

import structlog
import uvicorn
import uvloop

from app.config.watch import hangups
from app.http_protocol import IDLE_S, BoundedProtocol
from app.main import create_app
from app.open_files import open_files_allowed
from app.store.faults import StoreUnavailableError, StoreUnfitError
from app.store.in_use import refuse_in_use
from app.store.opening import open_database
from app.telemetry.logs import configure_logging

if TYPE_CHECKING:
    from app.config import Config, Loaded

log = structlog.get_logger()

QUIET_S, DRAIN_S = 1.0, 5.0
"""Open connections may still bring requests until none came for so long, and at most so long, after the signal."""
GRACE_S = 5
"""How long requests under way may take after that."""
_CLOSED_S = 0.01


class _Server(uvicorn.Server):
    """uvicorn's own, but open connections are drained before they are closed, and the process ends with exit code 0."""

    def __init__(self, config: uvicorn.Config, stop_taking: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop_taking = stop_taking

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._close_after_next_answer()
        self._stop_taking()
        await self._close_listeners(sockets or [])
        await self._until_quiet()
        await super().shutdown(sockets)

    async def _close_listeners(self, listeners: list[socket.socket]) -> None:
        """A connection that the kernel has accepted for us is served: closing its listener would reset it."""
        spare = [listener.dup() for listener in listeners]
        for server in self.servers:
            server.close()
        for listener in listeners:
            listener.close()
        await asyncio.sleep(_CLOSED_S)  # from here on the spare ones alone keep the port open
        last = []
        for listener in spare:
            listener.setblocking(False)
            last += list(_waiting_on(listener))
            listener.close()
        for connection in last:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    async def _until_quiet(self) -> None:
        now = asyncio.get_running_loop().time
        give_up, answered, since = now() + DRAIN_S, self.server_state.total_requests, now()
        while self.server_state.connections and not self.force_exit and now() < min(give_up, since + QUIET_S):
            await asyncio.sleep(0.02)
            if self.server_state.total_requests != answered:
                answered, since = self.server_state.total_requests, now()

    def _protocol(self) -> asyncio.Protocol:
        make = cast("type[BoundedProtocol]", self.config.http_protocol_class)
        return make(self.config, self.server_state, self.lifespan.state)

    def _close_after_next_answer(self) -> None:
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        for connection in self.server_state.connections:
            under_way = getattr(connection, "cycle", None)
            if under_way is not None and not under_way.response_started:
                under_way.keep_alive = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _waiting_on(listener: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(OSError):  # BlockingIOError: there are no more
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            yield connection


def run_api(
    config: Config,
    host: str,
    port: int,
    announce: Callable[[str], None] | None = None,
    *,
    loaded: Loaded | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT; the exit code. `announce` is given the base URL when requests are taken.

    `loaded` is where the configuration was read from, and is read again on SIGHUP.
    """
    configure_logging()
    try:
        listener = _listen(host, port)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is in use: choose another with --port" if taken else f"cannot be opened: {error.strerror}"
        sys.stderr.write(f"otp-relay api: port {port} on {host} {why}\n")
        return 1
    app = create_app(config, loaded)
    server = _Server(
        uvicorn.Config(
            app,
            http=BoundedProtocol.bounded_by(open_files_allowed()),
            ws="none",
            lifespan="on",
            access_log=False,
            proxy_headers=False,
            log_config=None,
            log_level="error",
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            timeout_keep_alive=IDLE_S,
        ),
        stop_taking=lambda: app.state.life.stop_taking(),
    )

    async def serve() -> None:
        await _refuse_unfit(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():  # noqa: ASYNC110  uvicorn tells no other way
            await asyncio.sleep(0.005)
        if server.started:
            gc.collect()
            gc.freeze()  # the application is made once: it need not be gone through again and again
            (announce or _announce)(_url_of(listener))
        await serving

    try:
        with (
            hangups(lambda: app.state.life.reload()),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(serve())
    except StoreUnfitError as error:
        listener.close()
        sys.stderr.write(f"otp-relay api: {error}\n")
        return 1
    except OSError as error:  # another took the port between our bind and the start
        sys.stderr.write(f"otp-relay api: port {port} on {host}: {error.strerror}\n")
        return 1
    return 0 if server.started else 1


async def _refuse_unfit(config: Config) -> None:
    """A Redis that could lose messages, or holds some of what is configured no more, ends the start.

    One that is away is waited for by the application.
    """
    with contextlib.suppress(StoreUnavailableError):
        database = await open_database(config)
        try:
            await refuse_in_use(database, config)
        finally:
            await database.close()


def _listen(host: str, port: int) -> socket.socket:
    """The port, taken; it refuses connections until there is an application to answer them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(url: str) -> None:
    log.info("api ready", url=url)
