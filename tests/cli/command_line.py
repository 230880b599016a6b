"""A command run to its end as a real process, and one that serves until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}


@dataclass(frozen=True)
class Ended:
    code: int | None
    out: str
    err: str


def _heed_ctrl_c() -> None:
    """What a shell starts in the background ignores SIGINT, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def started(*argv: str, **env: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.cli",
        *argv,
        stdout=PIPE,
        stderr=PIPE,
        env={**CLEAN, **env},
        preexec_fn=_heed_ctrl_c,
    )


async def ran(*argv: str, **env: str) -> Ended:
    """The command, run to its end."""
    process = await started(*argv, **env)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    return Ended(process.returncode, out.decode(), err.decode())


@contextlib.asynccontextmanager
async def serving(*argv: str, **env: str) -> AsyncIterator[Process]:
    """The command, killed at the end of the block if it still runs."""
    process = await started(*argv, **env)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def line_of(stream: asyncio.StreamReader | None) -> str:
    """The next line."""
    assert stream is not None
    return (await asyncio.wait_for(stream.readline(), 20)).decode().rstrip("\n")
