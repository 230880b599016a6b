"""One part of the relay as a child process: its start, its readiness, its end.

A part is a session, so a process group, of its own: Ctrl-C at the terminal reaches `dev` alone, which ends the parts
in their order.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.cli.dev.keeper import Keeper
from app.cli.dev.part_log import PartLog, Show

_POLL_S = 0.03
_AFTER_KILL_S = 0.5


def _nothing(line: str) -> None:
    """Shows nothing."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What is to run. `is_ready` asks it from outside; it may raise OSError, for not yet."""

    name: str
    argv: Sequence[str]
    is_ready: Callable[[], Awaitable[bool]]
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    ready_within_s: float = 30
    stop_within_s: float = 0.5
    show_stdout: Show = _nothing
    show_stderr: Show = _nothing


class PartNotReadyError(Exception):
    """A part runs, but did not come up in time."""


class RunningPart:
    """A part that was started. Made by `start`."""

    def __init__(self, part: Part, process: asyncio.subprocess.Process, log: PartLog, keeper: Keeper) -> None:
        self.part = part
        self.log = log
        self._process = process
        self._keeper = keeper
        assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018  pipes were asked for
        self._takers = [
            asyncio.create_task(log.take(process.stdout, part.show_stdout)),
            asyncio.create_task(log.take(process.stderr, part.show_stderr)),
        ]

    @classmethod
    async def start(cls, part: Part, log_file: Path, keeper: Keeper) -> RunningPart:
        """Starts the process. Raises OSError if it cannot be."""
        log = PartLog(log_file)
        process = await asyncio.create_subprocess_exec(
            *part.argv,
            cwd=part.cwd,
            env={**os.environ, **part.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        keeper.keep(process.pid)
        return cls(part, process, log, keeper)

    async def until_ready(self) -> None:
        """Returns when the part is ready. Raises PartNotReadyError after `ready_within_s`."""
        try:
            async with asyncio.timeout(self.part.ready_within_s):
                while not await self._is_ready():  # noqa: ASYNC110 - another process tells no other way
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise PartNotReadyError(self.part.name) from None

    async def until_ended(self) -> int:
        """The exit code, when it has ended by itself and all it said was read."""
        code = await self._process.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*self._takers), _AFTER_KILL_S)
        return code

    async def stop(self, within_s: float) -> None:
        """Ends it: asked first, killed with all its group after `within_s`."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), within_s)
        self.kill()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.until_ended(), _AFTER_KILL_S)
        for taker in self._takers:
            taker.cancel()
        self._keeper.forget(self._process.pid)
        self.log.close()

    def kill(self) -> None:
        """Ends its whole group at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _is_ready(self) -> bool:
        try:
            return await self.part.is_ready()
        except OSError:
            return False


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
