"""Serves the API with uvicorn in this process: the port, signals, and a last word where it cannot start."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import structlog
import uvicorn
import uvloop

from app.main import create_app
from app.store.faults import StoreUnavailableError, StoreUnfitError
from app.store.opening import open_database
from app.telemetry.logs import configure_logging

if TYPE_CHECKING:
    from app.config import Config

log = structlog.get_logger()

GRACE_S = 5


class _Server(uvicorn.Server):
    """uvicorn's own, but a signal that stopped it is not raised again: the process ends with exit code 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run_api(config: Config, host: str, port: int, announce: Callable[[str], None] | None = None) -> int:
    """Serves until SIGTERM or SIGINT; the exit code. `announce` is given the base URL when requests are taken."""
    configure_logging()
    try:
        listener = _listen(host, port)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is in use: choose another with --port" if taken else f"cannot be opened: {error.strerror}"
        sys.stderr.write(f"otp-relay api: port {port} on {host} {why}\n")
        return 1
    server = _Server(
        uvicorn.Config(
            create_app(config),
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            proxy_headers=False,
            log_config=None,
            log_level="error",
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            timeout_keep_alive=75,
            h11_max_incomplete_event_size=64 * 1024,
        )
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
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())
    except StoreUnfitError as error:
        listener.close()
        sys.stderr.write(f"otp-relay api: {error}\n")
        return 1
    return 0 if server.started else 1


async def _refuse_unfit(config: Config) -> None:
    """A Redis that could lose messages ends the start; one that is away is waited for by the application."""
    with contextlib.suppress(StoreUnavailableError):
        await (await open_database(config)).close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(url: str) -> None:
    log.info("api ready", url=url)
