"""The processes of a scene: started by the nursery, each seen to start, stop and end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from tests.crash.point import Job

_ROOT = Path(__file__).parents[2]


class Child:
    """A real process; `ended` and `stopped` are set when it does so."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended = asyncio.Event()
        self.stopped = asyncio.Event()
        self.code: int | None = None

    def send(self, number: signal.Signals) -> None:
        if not self.ended.is_set():
            os.kill(self.pid, number)

    async def kill(self) -> None:
        """As a crash would; over when it is gone."""
        self.send(signal.SIGKILL)
        await self.ended.wait()


class Nursery:
    """Starts processes. Jobs are started in the order asked."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._children: dict[int, Child] = {}
        self._starting: list[asyncio.Future[Child]] = []

    async def start(self, job: Job) -> Child:
        started: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        self._starting.append(started)
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(msgspec.json.encode(job) + b"\n")
        await stdin.drain()
        async with asyncio.timeout(20):
            return await started

    async def listen(self) -> None:
        """Hears what the nursery says, until it ends."""
        stdout = self._process.stdout
        assert stdout is not None
        while line := await stdout.readline():
            word, pid, *status = line.decode().split()
            if word == "started":
                child = self._children[int(pid)] = Child(int(pid))
                self._starting.pop(0).set_result(child)
                continue
            child = self._children[int(pid)]
            if word == "stopped":
                child.stopped.set()
            else:
                child.code = int(status[0])
                child.ended.set()


@contextlib.asynccontextmanager
async def nursery(leases_ms: int | None = None) -> AsyncIterator[Nursery]:
    """A nursery whose children end with it; `leases_ms` shortens their leases."""
    argv = [sys.executable, "-m", "tests.crash.nursery"]
    if leases_ms is not None:
        argv += ["--leases", str(leases_ms)]
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=_ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    opened = Nursery(process)
    listening = asyncio.create_task(opened.listen())
    try:
        yield opened
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await asyncio.wait_for(process.wait(), 10)
        await listening
