"""How long a message is under way inside: from when it was due at the API to its import's arrival at the provider.

    python -m tests.bench.reach

One API process and one worker on a Redis that fsyncs every write, and a provider that answers at once; no call ends, so
that outcomes are not part of it. Fails where a percentile is above its bound.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
import urllib.request

import msgspec
import uvloop

from tests.bench.figures import Figure, ask, report, say, share
from tests.bench.offered import Offered, offer
from tests.bench.processes import Running, api, configuration, folder, provider, receiver, redis, worker

LOADS = (("0ms", 100.0), ("20ms", 5.0), ("20ms", 2_000.0))
_LONGEST_S = 30.0


class Seen(msgspec.Struct):
    """What the provider tells: each number and when it came, each import's size, how many were under way since when."""

    came: list[tuple[str, float]]
    sizes: list[int]
    under_way: list[tuple[float, int]]
    exports: int
    tokens: int
    rows_served: int


def seen_by(at: Running, last: int = 10**9) -> Seen:
    """By now; only the `last` so many of each."""
    with urllib.request.urlopen(f"{at.url}/seen?last={last}", timeout=30) as answer:
        return msgspec.json.decode(answer.read(), type=Seen)


def _measured(linger: str, rate: float, seconds: float) -> list[Figure]:
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(folder())
        server = stack.enter_context(redis(where))
        at = stack.enter_context(provider(where, calls_end=False))
        to, file = stack.enter_context(receiver(where)), where / "relay.toml"
        settings = {"linger": f'"{linger}"'}
        file.write_text(
            configuration(server.url, provider_url=at.url, receiver_url=to.url, campaign=settings)
        )
        relay, working = stack.enter_context(api(file)), stack.enter_context(worker(file))
        uvloop.run(offer(relay.url, min(rate, 200), 2.0, first=90_000_000))
        before_s = {one.pid: one.cpu_s() for one in (server, relay, working)}
        warm = len(seen_by(at).sizes)
        offered = uvloop.run(offer(relay.url, rate, seconds))
        seen = _all_came(at, offered)
        cpu = [1e6 * (one.cpu_s() - before_s[one.pid]) / len(offered.due) for one in (relay, working, server)]
    took_ms = [1000 * (at_s - offered.due[n]) for n, at_s in seen.came if n in offered.due]
    name = f"POST to import, linger {linger}, {rate:.0f}/s"
    accept_ms = [1000 * took_s for took_s in offered.took_s]
    accept_ms = [1000 * took_s for took_s in offered.took_s]
    say(
        f"{name}: accept p50 {share(accept_ms, 0.5):.1f} p99 {share(accept_ms, 0.99):.1f} ms; "
        f"{statistics.mean(seen.sizes[warm:]):.1f} a batch; "
        f"CPU a message: api {cpu[0]:.0f}, worker {cpu[1]:.0f}, redis {cpu[2]:.0f} µs"
    )
    linger_ms = float(linger.removesuffix("ms"))
    p50 = Figure("reach", f"{name}, p50", share(took_ms, 0.5), "ms", most=None if linger_ms else 4.0)
    p99 = Figure("reach", f"{name}, p99", share(took_ms, 0.99), "ms", most=linger_ms + 15.0)
    return [p50, p99]


def _all_came(at: Running, offered: Offered) -> Seen:
    give_up = time.monotonic() + _LONGEST_S
    while True:
        seen = seen_by(at)
        missing = len(offered.due) - sum(n in offered.due for n, _ in seen.came)
        if not missing:
            return seen
        if time.monotonic() > give_up:
            raise SystemExit(f"{missing} were not imported in {_LONGEST_S:.0f} s")
        time.sleep(0.2)


def main() -> int:
    """Measures and prints; the exit code."""
    asks = ask(__doc__)
    asks.add_argument("--seconds", type=float, default=10.0, help="of each load [default: 10]")
    asked = asks.parse_args()
    figures = [figure for linger, rate in LOADS for figure in _measured(linger, rate, asked.seconds)]
    return report(figures, as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
