"""`otp-relay dev` as a user starts it: a process, what it prints, and the processes that it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}


class DevRun:
    """One run. Both streams are read as they come."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._news = asyncio.Event()
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self.stdout)),
            asyncio.create_task(self._read(process.stderr, self.stderr)),
        ]

    async def line(self, pattern: str, within_s: float = 20) -> re.Match[str]:
        """The first line of standard output that matches, when it is there."""
        async with asyncio.timeout(within_s):
            while True:
                for line in self.stdout:
                    if found := re.fullmatch(pattern, line):
                        return found
                if all(reader.done() for reader in self._readers):
                    raise AssertionError(f"ended without it: {self.stdout} {self.stderr}")
                self._news.clear()
                await self._news.wait()

    async def ended(self, within_s: float) -> int:
        """The exit code, when it has ended and all was read."""
        async with asyncio.timeout(within_s):
            code = await self.process.wait()
            await asyncio.gather(*self._readers)
        return code

    async def _read(self, stream: asyncio.StreamReader, into: list[str]) -> None:
        while line := await stream.readline():
            into.append(line.decode().rstrip("\n"))
            self._news.set()
        self._news.set()


@contextlib.asynccontextmanager
async def dev_run(data_dir: Path, *options: str, env: dict[str, str] | None = None) -> AsyncIterator[DevRun]:
    """A run on free ports; killed at the end of the block if it still runs."""
    argv = [
        sys.executable,
        "-m",
        "app.cli",
        "dev",
        "--data-dir",
        str(data_dir),
        *(options or ("--port", "0")),
    ]
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=PIPE, stderr=PIPE, env={**CLEAN, **(env or {})}, start_new_session=True
    )
    run = DevRun(process)
    try:
        yield run
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await run.ended(within_s=10)


@dataclass(frozen=True)
class Pasted:
    """The printed curl, read word by word as a shell reads it."""

    url: str
    headers: dict[str, str]
    body: str

    @classmethod
    def of(cls, line: str) -> Pasted:
        words = shlex.split(line)
        assert words[:2] == ["curl", "-sS"]
        headers = dict(words[index + 1].split(": ", 1) for index, word in enumerate(words) if word == "-H")
        return cls(words[2], headers, words[words.index("-d") + 1])

    async def send(self) -> dict[str, object]:
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(self.url, headers=self.headers, content=self.body)
        assert answer.status_code == 202, answer.text
        message: dict[str, object] = answer.json()
        return message

    async def show(self, message_id: object) -> dict[str, object]:
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"{self.url}/{message_id}", headers=self.headers)
        assert answer.status_code == 200, answer.text
        message: dict[str, object] = answer.json()
        return message


async def pasted(run: DevRun) -> Pasted:
    """The curl that a run prints when all is ready."""
    return Pasted.of((await run.line("curl .*"))[0])


def children_of(pid: int) -> dict[int, str]:
    """The processes whose parent it is, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, IndexError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                argv = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[int(entry.name)] = argv
    return found


def alive(pids: dict[int, str]) -> dict[int, str]:
    """Those that still run; a zombie does not."""
    found = {}
    for pid, argv in pids.items():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found[pid] = argv
    return found


async def all_gone(pids: dict[int, str], within_s: float) -> bool:
    """Whether they end in time."""
    give_up = time.monotonic() + within_s
    while alive(pids):
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(0.02)
    return True


def pid_of(part: str, children: dict[int, str]) -> int:
    """The child whose command line has that word."""
    return next(pid for pid, argv in children.items() if f" {part} " in f" {argv} ")
