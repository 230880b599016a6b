"""How fast a full queue is imported by one worker, with a provider that takes 50 ms for each import.

    python -m tests.bench.drain

Prints messages a second from the first import to the last; and, with batches so small that the provider is what is
waited for, for which share of the time as many imports were under way as the campaign's `concurrency` allows.
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
SLOW_ENOUGH_A_S = 2_000
"""With batches so small that the provider can take no more a second, it is the provider that is waited for."""
_LONGEST_S = 120.0


def _measured(messages: int, delay_ms: float, batch_size: int) -> tuple[float, float]:
    """Messages a second, and the share of the time in which all imports were under way."""
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(folder())
        server = stack.enter_context(redis(where))
        at = stack.enter_context(provider(where, delay_ms=delay_ms))
        file = Path(where / "relay.toml")
        settings: dict[str, str | int] = {
            "linger": '"20ms"',
            "concurrency": CONCURRENCY,
            "batch_size": batch_size,
        }
        file.write_text(configuration(server.url, provider_url=at.url, campaign=settings))
        asyncio.run(fill(file, messages))
        working = stack.enter_context(worker(file))
        _all_came(at, messages)
        cpu = [1e6 * one.cpu_s() / messages for one in (working, server)]
        seen = seen_by(at)
    came = [at_s for _, at_s in seen.came]
    took_s = max(came) - min(came)
    say(
        f"batches of {batch_size}: {messages} in {took_s:.2f} s; "
        f"CPU a message: worker {cpu[0]:.0f}, redis {cpu[1]:.0f} µs"
    )
    return messages / took_s, _share_at(CONCURRENCY, seen.under_way, min(came), max(came))


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
    rate, _ = _measured(asked.messages, asked.delay_ms, 200)
    small = round(SLOW_ENOUGH_A_S * asked.delay_ms / 1000 / CONCURRENCY)
    _, busy = _measured(asked.messages // 2, asked.delay_ms, small)
    figures = [
        Figure(
            "drain", f"queue to import, the provider takes {asked.delay_ms:.0f} ms", rate, "/s", least=3_000
        ),
        Figure("drain", "share of the time with all imports under way", busy, "", least=0.9),
    ]
    return report(figures, as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
