"""The processes of a chaos run: real ones, killed and started again. Owns their ports, their logs and their ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

from tests.servers import ValkeyServer

READY_S = 20.0


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Member:
    """One process of ours that may die at any time."""

    def __init__(self, name: str, argv: list[str], folder: Path, ready: str | None) -> None:
        """`ready`: the URL that answers 200 once it serves; None: it says so in its log."""
        self.name = name
        self._argv = [str(Path(sys.executable).with_name("otp-relay")), *argv]
        self.log = folder / f"{name}.log"
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None
        self._read_from = 0

    def start(self) -> None:
        """Starts it; does not wait."""
        self._read_from = self.log.stat().st_size if self.log.exists() else 0
        environment = {**os.environ, "RELAY_LOG_FORMAT": "json"}
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(self._argv, stdout=out, stderr=out, env=environment)

    async def ready(self) -> None:
        """Waits until it serves."""
        async with asyncio.timeout(READY_S):
            while not await asyncio.to_thread(self._is_ready):  # noqa: ASYNC110  another process tells no other way
                await asyncio.sleep(0.02)

    def _is_ready(self) -> bool:
        if self._ready is None:
            with self.log.open("rb") as log:
                log.seek(self._read_from)
                return b'"worker ready"' in log.read()
        with contextlib.suppress(OSError), urllib.request.urlopen(self._ready, timeout=1) as answer:
            return bool(answer.status == 200)
        return False

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """As a crash would."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()


class Fleet:
    """Redis, the sandbox, APIs and workers."""

    def __init__(self, folder: Path, redis: ValkeyServer, *, apis: int, workers: int) -> None:
        file = folder / "relay.toml"
        self.redis = redis
        self.config_file = file
        port = free_port()
        self.sandbox_url = f"http://127.0.0.1:{port}"
        sandbox = ["sandbox", "--port", str(port)]
        self.sandbox = Member("sandbox", sandbox, folder, f"{self.sandbox_url}/sandbox/faults")
        self.api_urls: list[str] = []
        self.apis: list[Member] = []
        for n in range(apis):
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            argv = ["api", "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
            self.api_urls.append(url)
            self.apis.append(Member(f"api-{n}", argv, folder, f"{url}/readyz"))
        self.workers = [
            Member(f"worker-{n}", ["worker", "--config", str(file)], folder, None) for n in range(workers)
        ]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All of it, ready; all of it gone afterwards."""
        everyone = [self.sandbox, *self.apis, *self.workers]
        try:
            for member in everyone:
                member.start()
            for member in everyone:
                await member.ready()
            yield
        finally:
            for member in everyone:
                member.send(signal.SIGCONT)
                member.kill()

    async def bounce(self, name: str, down_s: float) -> None:
        """Kills the one of that name, `redis` too, and starts it again after a while."""
        if name == "redis":
            self.redis.kill()
            await asyncio.sleep(down_s)
            await asyncio.to_thread(self.redis.start)
            return
        member = self._named(name)
        member.kill()
        await asyncio.sleep(down_s)
        member.start()

    async def freeze(self, name: str, for_s: float) -> None:
        """Stops it for longer than its leases, and lets it go on in the belief that nothing happened."""
        member = self._named(name)
        member.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            member.send(signal.SIGCONT)

    def _named(self, name: str) -> Member:
        return next(one for one in (*self.apis, *self.workers) if one.name == name)

    def names(self) -> tuple[list[str], list[str]]:
        """Of the APIs and of the workers."""
        return [one.name for one in self.apis], [one.name for one in self.workers]
