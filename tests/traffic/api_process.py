"""`otp-relay api` as a process whose deadlines are short, and what a good caller and its log say of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.api.desk import KEYS, config_text, otp
from tests.traffic.wire import exchange, head, post

AUTHORIZATION = f"Authorization: Bearer {KEYS['checkout']}"
MESSAGE = json.dumps(otp(campaign="order-notice", otp_code=None)).encode()
"""A body that is taken."""
SHORT_S = 0.4
"""Each deadline of the process; a connection may rest twice as long."""

_PROGRAM = """
import pathlib, resource, sys
from app import http_protocol
file, short_s, files = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
for name in ("HEAD_S", "BODY_S", "ANSWER_S"):
    setattr(http_protocol, name, short_s)
http_protocol.IDLE_S = 2 * short_s
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
hard = min(files or hard, hard)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
from app.config import load_config
from app.serve import run_api
sys.exit(run_api(load_config(pathlib.Path(file)), "127.0.0.1", 0, lambda url: print(url, flush=True)))
"""


class ApiProcess:
    """A running API. `log` holds all that it wrote."""

    def __init__(self, process: subprocess.Popen[str], log: Path, url: str) -> None:
        self.process = process
        self.log = log
        self.url = url
        self.port = int(url.rpartition(":")[2])

    def serves_a_good_caller(self) -> None:
        """It lives, accepts a message and shows it."""
        assert self.process.poll() is None, self.log.read_text()
        [sent] = exchange(self.port, post(MESSAGE, AUTHORIZATION))
        assert sent.status == 202, sent
        [listed] = exchange(self.port, head("GET", "/v1/campaigns", AUTHORIZATION))
        assert listed.status == 200, listed

    def open_files(self) -> int:
        """How many the process holds now."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def memory_kib(self) -> int:
        """Resident, in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def said_nothing_bad(self) -> None:
        """No error of ours, no traceback, and nothing of the library's."""
        said = self.log.read_text()
        assert "Traceback" not in said, said
        assert "request failed" not in said, said
        assert '"level": "error"' not in said, said


@contextmanager
def api_process(
    redis_url: str,
    folder: Path,
    *,
    short_s: float = SHORT_S,
    open_files: int = 0,
    more: dict[str, str] | None = None,
) -> Iterator[ApiProcess]:
    """Serves with deadlines of `short_s` seconds, and at most so many open files (0: all that it may have)."""
    file, log = folder / "relay.toml", folder / "api.log"
    file.write_text(config_text(redis_url, {"order-notice": 'per_number_limit = "100000/s"'}))
    with log.open("w") as writing:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _PROGRAM, str(file), str(short_s), str(open_files)],
            stdout=subprocess.PIPE,
            stderr=writing,
            text=True,
        )
    try:
        assert process.stdout is not None
        yield ApiProcess(process, log, process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()
