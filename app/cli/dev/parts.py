"""Which parts `dev` runs, how each is started, and how each is asked whether it is ready."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from app.cli.dev.part import Part
from app.cli.dev.part_log import is_for_the_terminal, readable
from app.cli.dev.probe import answers_ok
from app.cli.dev.terminal import Terminal


class PartMaker:
    """Makes the parts that are commands of this program; what they warn of goes to the terminal."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def api(self, config_file: Path, host: str, port: int, url: str) -> Part:
        argv = ["api", "--config", str(config_file), "--host", host, "--port", str(port)]
        return self._part("api", argv, f"{url}/readyz", stop_within_s=1.6)

    def worker(self, config_file: Path, port: int) -> Part:
        env = {"RELAY_WORKER_PORT": str(port)}
        argv = ["worker", "--config", str(config_file)]
        return self._part("worker", argv, f"http://127.0.0.1:{port}/readyz", env, stop_within_s=1.5)

    def sandbox(self, port: int, state_file: Path) -> Part:
        argv = ["sandbox", "--port", str(port), "--state-file", str(state_file)]
        return self._part("sandbox", argv, f"http://127.0.0.1:{port}/")

    def receiver(self, port: int, signing_secret: str) -> Part:
        # By the environment: a command line can be read by everyone on the machine.
        env = {"RELAY_SIGNING_SECRET": signing_secret}
        argv = ["listen", "--port", str(port), "--quiet"]
        return self._part("receiver", argv, f"http://127.0.0.1:{port}/", env, prints=True)

    def _part(
        self,
        name: str,
        argv: list[str],
        ready_url: str,
        env: dict[str, str] | None = None,
        *,
        stop_within_s: float = 0.5,
        prints: bool = False,
    ) -> Part:
        def show_stderr(line: str) -> None:
            if is_for_the_terminal(line):
                self._terminal.warn(f"{name}: {readable(line)}")

        def show_stdout(line: str) -> None:
            if prints:
                self._terminal.print(line)

        return Part(
            name=name,
            argv=[sys.executable, "-m", "app.cli", *argv],
            env={"RELAY_LOG_FORMAT": "json", "PYTHONUNBUFFERED": "1", **(env or {})},
            is_ready=functools.partial(answers_ok, ready_url),
            stop_within_s=stop_within_s,
            show_stdout=show_stdout,
            show_stderr=show_stderr,
        )
