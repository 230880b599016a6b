"""How dear an acceptance is: requests a second of `otp-relay api`, beside a bare handler on the same machine.

    python -m tests.bench.accept --rounds 5 --seconds 4

Both take the same load in turns, so that what else the machine does falls on both. The figure is their ratio: it
holds from machine to machine, where requests a second do not. Exit code 1 where it is below `--least`.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.figures import Figure, ask, report, say
from tests.bench.processes import KEY, Running, api, configuration, folder, redis, server

HERE = Path(__file__).parent
NUMBERS_A_ROUND = 300_000
"""More than a round can send."""


@dataclass(slots=True)
class Side:
    """One of the two servers, and what its rounds gave."""

    name: str
    running: Running
    rates: list[float] = field(default_factory=list)
    p50s_ms: list[float] = field(default_factory=list)
    p99s_ms: list[float] = field(default_factory=list)
    cpus_us: list[float] = field(default_factory=list)

    def line(self) -> str:
        """The medians over the rounds."""
        each = (self.rates, self.p50s_ms, self.p99s_ms, self.cpus_us)
        rate, p50, p99, cpu = (statistics.median(figures) for figures in each)
        return f"{self.name:<16}{rate:7.0f} req/s   p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   CPU {cpu:5.0f} µs a request"


def post_all(url: str, connections: int, seconds: float, first: int) -> dict[str, float]:
    """What a load of `load.py` gave: `count`, `p50_ms` and `p99_ms`; its numbers count up from `first`."""
    address = urlsplit(url)
    words = [str(address.hostname), str(address.port), KEY, str(connections), str(seconds), str(first)]
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py"), *words],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{url}: the load failed:\n{done.stderr[-1000:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _measure(sides: tuple[Side, Side], rounds: int, seconds: float, connections: int) -> None:
    numbers = iter(range(0, 9 * 10**7, NUMBERS_A_ROUND))
    for side in sides:
        post_all(side.running.url, connections, 1.0, next(numbers))
    for n in range(1, rounds + 1):
        for side in sides:
            before_s = side.running.cpu_s()
            got = post_all(side.running.url, connections, seconds, next(numbers))
            side.cpus_us.append((side.running.cpu_s() - before_s) * 1e6 / got["count"])
            side.rates.append(got["count"] / seconds)
            side.p50s_ms.append(got["p50_ms"])
            side.p99s_ms.append(got["p99_ms"])
        bare, relay = (side.rates[-1] for side in sides)
        say(f"round {n}: {bare:.0f} and {relay:.0f} req/s, ratio {relay / bare:.2f}")


def _figures(bare: Side, relay: Side, least: float) -> list[Figure]:
    rate = statistics.median(b / a for a, b in zip(bare.rates, relay.rates, strict=True))
    p99 = statistics.median(b / a for a, b in zip(bare.p99s_ms, relay.p99s_ms, strict=True))
    return [
        Figure("accept", "accepted, of a bare handler's rate", rate, "", least=least),
        Figure("accept", "p99, of a bare handler's", p99, "", most=3.0),
    ]


def main() -> int:
    """Measures and prints; the exit code."""
    asks = ask(__doc__)
    asks.add_argument("--rounds", type=int, default=5, help="of each server, in turns [default: 5]")
    asks.add_argument("--seconds", type=float, default=4.0, help="of each round [default: 4]")
    asks.add_argument("--connections", type=int, default=64, help="keep-alive connections [default: 64]")
    asks.add_argument("--least", type=float, default=0.5, help="ratio to reach [default: 0.5]")
    asked = asks.parse_args()
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(folder())
        file = where / "relay.toml"
        file.write_text(configuration(stack.enter_context(redis(where)).url))
        bare = server([sys.executable, "-m", "tests.bench.bare"], where / "bare.log")
        sides = (
            Side("bare handler", stack.enter_context(bare)),
            Side("otp-relay api", stack.enter_context(api(file))),
        )
        _measure(sides, asked.rounds, asked.seconds, asked.connections)
    for side in sides:
        say(side.line())
    say(f"{asked.connections} connections, {os.cpu_count()} cores")
    return report(_figures(*sides, asked.least), as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
