"""One run of `otp-relay dev` on free ports, and what its screen says."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from tests.canaries.search import Place
from tests.canaries.watch import WATCH
from tests.e2e.processes import using
from tests.e2e.program import OTP_RELAY, Program

ANSWERED = re.compile(r"callback message\.answered msg_\w+ \+84901\*\*\*567 signature ok")

_READY_WITHIN_S = 30


class DevRun(Program):
    """Started with its data in `data`; `ready` waits until the screen is there."""

    def __init__(self, data: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.of_a_file = "--config" in options
        self.ready_after_s = 0.0
        self._started = time.monotonic()
        super().__init__([*OTP_RELAY, "dev", "--data-dir", str(data), *(options or ("--port", "0"))], env)

    def ready(self) -> Self:
        last = "  logs " if self.of_a_file else "curl "
        self.line_when(lambda line: line.startswith(last), _READY_WITHIN_S)
        self.ready_after_s = time.monotonic() - self._started
        return self

    @property
    def curl(self) -> str:
        return self.line_when(lambda line: line.startswith("curl "), 0)

    @property
    def docs_url(self) -> str:
        return self._word("API")

    @property
    def api_url(self) -> str:
        return self.docs_url.removesuffix("/docs")

    @property
    def sandbox_url(self) -> str:
        return self._word("sandbox").rstrip("/")

    @property
    def key(self) -> str:
        return self._word("key")

    def message(self, message_id: str) -> dict[str, Any]:
        """The message as the API shows it now."""
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = httpx.get(f"{self.api_url}/v1/messages/{message_id}", headers=headers, trust_env=False)
        answer.raise_for_status()
        message: dict[str, Any] = answer.json()
        return message

    def send_the_example(self, api_url: str | None = None, **more: object) -> str:
        """What the `curl` sends, and more, to this API or another; gives the message's id."""
        body = json.loads(shlex.split(self.curl)[-1])
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = httpx.post(
            f"{api_url or self.api_url}/v1/messages", headers=headers, json=body | more, trust_env=False
        ).raise_for_status()
        return str(answer.json()["id"])

    def move_campaign(self, verb: str) -> None:
        """`stop` or `start` the campaign of the example at the sandbox."""
        path = f"/sandbox/campaigns/sandbox-login-otp/{verb}"
        httpx.post(f"{self.sandbox_url}{path}", trust_env=False).raise_for_status()

    def processes(self) -> dict[int, str]:
        """What lives of it: also a server that wrote its title over the mark in its environment."""
        return super().processes() | using(self.data)

    def part(self, name: str) -> int:
        """The process of a part that is a command of this program."""
        return next(pid for pid, line in self.processes().items() if f" app.cli {name} " in f"{line} ")

    def look_for_canaries(self) -> None:
        """Its logs and its Redis; the screen shows a key and an example, which is what it is for."""
        WATCH.look(self.stderr, Place.LOG, "screen")
        WATCH.look_in(self.data)

    def gone(self, within_s: float) -> bool:
        """Whether nothing of it lives any more, in time."""
        give_up = time.monotonic() + within_s
        while self.processes():
            if time.monotonic() > give_up:
                return False
            time.sleep(0.02)
        return True

    def answered(self, message_id: str, within_s: float) -> None:
        """Returns when the callback of this message was received and verified."""
        line = self.line_when(lambda line: message_id in line, within_s)
        assert ANSWERED.fullmatch(line), line

    def stop(self, number: signal.Signals) -> tuple[int, float]:
        """Signals its whole process group, as a terminal does: the exit code, and after how many seconds it came."""
        asked = time.monotonic()
        os.killpg(self.pid, number)
        return self.ended(10), time.monotonic() - asked

    def all_it_said(self) -> str:
        """Both streams, and every log."""
        logs = (file.read_text(errors="replace") for file in sorted((self.data / "logs").glob("*.log*")))
        return "\n".join((self.stdout, self.stderr, *logs))

    def _word(self, name: str) -> str:
        """What stands behind the name on the screen."""
        line = self.line_when(lambda line: line.split()[:1] == [name], 0)
        return line.split()[1]
