"""How fast a full queue is imported by one worker, with a provider that takes 50 ms for each import.

    python -m tests.bench.drain

Prints messages a second from the first import to the last, and for which share of that time as many imports were under
way as the campaign's `concurrency` allows.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from pathlib import Path

from tests.bench.figures import Figure, ask, report, say
from tests.bench.filled import fill
from tests.bench.processes import Running, configuration, folder, provider, redis, worker
from tests.bench.reach import seen_by

CONCURRENCY = 4
_LONGEST_S = 120.0


def _measured(messages: int, delay_ms: float) -> list[Figure]:
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(folder())
        server = stack.enter_context(redis(where))
        at = stack.enter_context(provider(where, delay_ms=delay_ms))
        file = Path(where / "relay.toml")
        settings: dict[str, str | int] = {"linger": '"20ms"', "concurrency": CONCURRENCY, "batch_size": 200}
        file.write_text(configuration(server.url, provider_url=at.url, campaign=settings))
        asyncio.run(fill(file, messages))
        working = stack.enter_context(worker(file))
        _all_came(at, messages)
        cpu = [1e6 * one.cpu_s() / messages for one in (working, server)]
        seen = seen_by(at)
    came = [at_s for _, at_s in seen.came]
    took_s = max(came) - min(came)
    say(f"{messages} in {took_s:.2f} s; worker's CPU a message {cpu[0]:.0f} µs (with its start)")
    busy = _share_at(CONCURRENCY, seen.under_way, min(came), max(came))
    return [
        Figure(
            "drain",
            f"queue to import, the provider takes {delay_ms:.0f} ms",
            messages / took_s,
            "/s",
            least=3_000,
        ),
        Figure("drain", "share of that time with all imports under way", busy, "", least=0.9),
    ]


def _share_at(level: int, steps: list[tuple[float, int]], start: float, end: float) -> float:
    at_level = 0.0
    for (from_s, n), (to_s, _) in zip(steps, [*steps[1:], (end, 0)], strict=True):
        if n >= level:
            at_level += max(min(to_s, end) - max(from_s, start), 0.0)
    return at_level / (end - start)


def _all_came(at: Running, messages: int) -> None:
    give_up = time.monotonic() + _LONGEST_S
    while len(seen_by(at).came) < messages:
        if time.monotonic() > give_up:
            raise SystemExit(f"not all were imported in {_LONGEST_S:.0f} s")
        time.sleep(0.5)


def main() -> int:
    """Measures and prints; the exit code."""
    asks = ask(__doc__)
    asks.add_argument("--messages", type=int, default=20_000, help="in the queue [default: 20000]")
    asks.add_argument("--delay-ms", type=float, default=50.0, help="of an import [default: 50]")
    asked = asks.parse_args()
    return report(_measured(asked.messages, asked.delay_ms), as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
