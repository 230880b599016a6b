"""A command of this program as a real process, with what it printed; and all processes that came of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.canaries.search import Place
from tests.canaries.watch import WATCH
from tests.e2e.processes import MARK, marked

OTP_RELAY = (sys.executable, "-m", "app.cli")

_OF_THE_CALLER = (
    "RELAY_CONFIG",
    "RELAY_REDIS_URL",
    "RELAY_LOG_LEVEL",
    "RELAY_LOG_FORMAT",
    "RELAY_WORKER_PORT",
)


class Program:
    """Runs until the end of the `with`, which kills whatever of it is left."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.mark = f"{os.getpid()}-{time.monotonic_ns()}"
        self._heard = threading.Condition()
        self._stdout: list[str] = []
        self._stderr: list[str] = []
        self._process = subprocess.Popen(
            argv,
            env=environment(env) | {MARK: self.mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            self._reader(self._process.stdout, self._stdout),
            self._reader(self._process.stderr, self._stderr),
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait(5)
        for reader in self._readers:
            reader.join(5)
        self.look_for_canaries()

    def look_for_canaries(self) -> None:
        """Looks through all that it said: servers log to either."""
        WATCH.look(self.stdout + self.stderr, Place.LOG, "output")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdout(self) -> str:
        with self._heard:
            return "".join(self._stdout)

    @property
    def stderr(self) -> str:
        with self._heard:
            return "".join(self._stderr)

    def line_when(self, accept: Callable[[str], bool], within_s: float) -> str:
        """The first line on standard output that is accepted."""

        def found() -> str | None:
            return next((line.rstrip("\n") for line in self._stdout if accept(line.rstrip("\n"))), None)

        with self._heard:
            line = self._heard.wait_for(found, within_s)
        assert line is not None, f"no such line within {within_s} s:\n{self.stdout}\n{self.stderr}"
        return line

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self, within_s: float) -> int:
        """The exit code, when it ended and all it said was read."""
        code = self._process.wait(within_s)
        for reader in self._readers:
            reader.join(5)
        return code

    def processes(self) -> dict[int, str]:
        """What lives of it, itself included: the command line by process id."""
        return marked(self.mark)

    def _reader(self, stream: IO[str], into: list[str]) -> threading.Thread:
        def read() -> None:
            with stream:
                for line in stream:
                    with self._heard:
                        into.append(line)
                        self._heard.notify_all()

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's, without what would configure the relay, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if name not in _OF_THE_CALLER}
    return {**kept, **(more or {})}


def told(*args: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A command run to its end, at most 20 s."""
    return subprocess.run(
        [*OTP_RELAY, *map(str, args)],
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
