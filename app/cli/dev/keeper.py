"""Sees to it that no part outlives `dev`, even one that was killed and could stop nothing.

The keeper is a process that reads a pipe from `dev`: the process groups to keep an eye on. The end of the pipe means
that `dev` is gone, however it went; the keeper then kills the groups that are left. Works wherever there are pipes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, TextIO


class Keeper:
    """The side of `dev`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def keep(self, group: int) -> None:
        """To be killed if `dev` goes."""
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """It has ended."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """Ends the keeper; what it still keeps ends with it."""
        with contextlib.suppress(OSError):
            self._pipe().close()
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _tell(self, line: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._pipe().fileno(), line.encode())

    def _pipe(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101  a pipe was asked for
        return self._process.stdin


def keep_until_the_end(pipe: TextIO) -> None:
    """The keeper's whole life."""
    groups: set[int] = set()
    for line in pipe:
        if line.startswith("+"):
            groups.add(int(line[1:]))
        else:
            groups.discard(int(line[1:]))
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    keep_until_the_end(sys.stdin)
