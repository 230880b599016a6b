"""The whole relay as processes that can be stopped one by one: APIs, workers, a Redis of its own, the sandbox.

Nothing here looks into a process: what happened is read from logs, answers, Redis and what the sandbox was sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.config import parse_config
from tests.canaries.planted import api_key
from tests.servers import ValkeyServer
from tests.store.tidy import assert_tidy
from tests.workers.rig import Receiver, relay_toml, until

Json = dict[str, Any]

API_KEY = api_key("checkout")
BIN = Path(sys.executable).parent
OWN_WORKER: tuple[str, ...] = ()
"""`otp-relay worker`, with the stage's file."""
PLAIN_ARQ = (str(BIN / "arq"), "workers.settings.WorkerSettings")
SPEAKS_WITHIN_S = 20.0


@dataclass
class Process:
    """A process of the relay, and its log."""

    name: str
    os_process: asyncio.subprocess.Process
    log_file: Path
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> list[Json]:
        """Its lines so far, without what arq writes before our logs are set up."""
        lines = self.log_file.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def said(self, phrase: str) -> list[Json]:
        return [line for line in self.log() if line["event"] == phrase]

    async def until_said(self, phrase: str, times: int = 1) -> None:
        await until(lambda: len(self.said(phrase)) >= times, f"{self.name} says: {phrase}", SPEAKS_WITHIN_S)

    async def ended(self, within_s: float) -> int:
        return await asyncio.wait_for(self.os_process.wait(), within_s)

    async def terminate(self, within_s: float) -> float:
        """SIGTERM, and how many seconds it then took; it must end by itself, with exit code 0 and no traceback."""
        asked = time.monotonic()
        self.os_process.send_signal(signal.SIGTERM)
        assert await self.ended(within_s) == 0, self.log_file.read_text()
        assert "Traceback" not in self.log_file.read_text()
        return time.monotonic() - asked


class Stage:
    """What a test starts and stops."""

    def __init__(
        self, folder: Path, server: ValkeyServer, sandbox: httpx.AsyncClient, receiver: Receiver
    ) -> None:
        self.server = server
        self.sandbox = sandbox
        self.receiver = receiver
        self.processes: list[Process] = []
        self._numbers = itertools.count(1)
        self._folder = folder
        self.file = folder / "relay.toml"

    def configure(self, receiver_url: str, **changes: str) -> None:
        """Writes the file; `timeout` of the account, `linger` and `login` (lines) of `login-otp` are changed."""
        more = {"login-otp": changes["login"]} if "login" in changes else {}
        text = relay_toml(self.server.url, str(self.sandbox.base_url).rstrip("/"), receiver_url, more)
        text = text.replace("c1" * 32, hashlib.sha256(API_KEY.encode()).hexdigest())
        for name, usual in (("timeout", "2s"), ("linger", "5ms")):
            if name in changes:
                text = text.replace(f'{name} = "{usual}"', f'{name} = "{changes[name]}"', 1)
        self.file.write_text(text)
        parse_config(text, file="relay.toml", env={})

    async def start(self, kind: str, *argv: str, port: int = 0) -> Process:
        name = f"{kind} {next(self._numbers)}"
        log_file = self._folder / f"{name}.log"
        env = {**os.environ, "RELAY_CONFIG": str(self.file), "RELAY_LOG_FORMAT": "json"}
        with log_file.open("wb") as log:
            started = await asyncio.create_subprocess_exec(*argv, stderr=log, stdout=log, env=env)
        process = Process(name, started, log_file, port)
        self.processes.append(process)
        return process

    async def api_and_workers(self, *commands: tuple[str, ...]) -> tuple[Process, ...]:
        """An API and a worker for each command (empty: `otp-relay worker`), started side by side."""
        return tuple(await asyncio.gather(self.api(), *(self.worker(*argv) for argv in commands)))

    async def worker(self, *argv: str, ready: bool = True) -> Process:
        """`otp-relay worker`, or another command; ready when it is given back, unless not asked for."""
        command = argv or (str(BIN / "otp-relay"), "worker", "--config", str(self.file))
        process = await self.start("worker", *command)
        if ready:
            await process.until_said("worker ready")
        return process

    async def api(self, port: int | None = None) -> Process:
        """`otp-relay api`, once it listens; on a free port, or on that one."""
        port = port or free_port()
        argv = (str(BIN / "otp-relay"), "api", "--config", str(self.file), "--host", "127.0.0.1")
        process = await self.start("api", *argv, "--port", str(port), port=port)
        await process.until_said("api ready")
        return process

    async def stop(self) -> None:
        for process in self.processes:
            if process.os_process.returncode is None:
                process.os_process.send_signal(signal.SIGCONT)
                process.os_process.kill()
                await process.os_process.wait()

    async def fault(self, name: str, **params: object) -> None:
        answer = await self.sandbox.put(f"/sandbox/faults/{name}", json=params)
        assert answer.status_code == 200, answer.text

    async def provider(self) -> Json:
        state: Json = (await self.sandbox.get("/sandbox/state", timeout=20)).json()
        return state

    async def until_imported(self, imports: int = 1) -> None:
        """As soon as so many imports have reached the sandbox."""
        async with asyncio.timeout(SPEAKS_WITHIN_S):
            while (await self.provider())["counts"]["import_requests"] < imports:  # noqa: ASYNC110  it tells no other way
                await asyncio.sleep(0.02)

    async def calls(self) -> Counter[str]:
        """How often each number was called, in E.164."""
        return Counter("+84" + call["number"].removeprefix("0") for call in (await self.provider())["calls"])

    async def imported_at_ms(self) -> dict[str, int]:
        """When each number was first imported, as the sandbox saw it."""
        first: dict[str, int] = {}
        for one in (await self.provider())["imports"]:
            for number in one["numbers"]:
                first.setdefault("+84" + number.removeprefix("0"), one["at_ms"])
        return first

    def never_said(self, *phrases: str) -> None:
        for process in self.processes:
            for phrase in phrases:
                assert process.said(phrase) == [], (process.name, phrase)

    async def tidy(self) -> None:
        """Redis holds no leftover."""
        from app.store.connection import connect_raw

        client = connect_raw(self.server.url)
        try:
            await assert_tidy(client)
        finally:
            await client.aclose()


def said_of_redis(log: Sequence[Json]) -> Counter[str]:
    """How often each task said that Redis is away, or anything else of it."""
    return Counter(str(line.get("task", line["event"])) for line in log if "redis" in line["event"])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
