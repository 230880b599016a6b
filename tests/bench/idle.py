"""What a relay costs that has nothing to do, and how soon its API answers after its start.

    python -m tests.bench.idle

CPU of API, worker and Redis together, in percent of a core; requests to the provider in that time; and from the start
of `otp-relay api` to its first answer.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time

from tests.bench.figures import Figure, ask, report, say
from tests.bench.processes import api, configuration, folder, provider, redis, worker
from tests.bench.reach import seen_by

_SETTLES_S = 3.0


def _idle(seconds: float) -> list[Figure]:
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(folder())
        server, at = stack.enter_context(redis(where)), stack.enter_context(provider(where))
        file = where / "relay.toml"
        file.write_text(configuration(server.url, provider_url=at.url))
        running = {
            "api": stack.enter_context(api(file)),
            "worker": stack.enter_context(worker(file)),
            "redis": server,
        }
        time.sleep(_SETTLES_S)
        before_s = {name: one.cpu_s() for name, one in running.items()}
        time.sleep(seconds)
        percent = {name: 100 * (one.cpu_s() - before_s[name]) / seconds for name, one in running.items()}
        seen = seen_by(at)
        mib = {name: one.resident_mib() for name, one in running.items()}
    for name in running:
        say(f"{name}: {percent[name]:.1f} % of a core, {mib[name]:.0f} MiB")
    return [
        Figure("idle", "all processes, nothing to do", sum(percent.values()), "%", most=3.0),
        Figure(
            "idle", "requests to the provider, nothing to do", float(seen.exports + seen.tokens), "", most=0
        ),
    ]


def _starts(rounds: int) -> list[Figure]:
    took_s = []
    with folder() as where, redis(where) as server:
        file = where / "relay.toml"
        file.write_text(configuration(server.url))
        for _ in range(rounds):
            began = time.monotonic()
            with api(file):
                took_s.append(time.monotonic() - began)
    say(f"starts, in s: {', '.join(f'{one:.2f}' for one in took_s)}")
    return [
        Figure("idle", "otp-relay api, from its start to ready", statistics.median(took_s), "s", most=1.0)
    ]


def main() -> int:
    """Measures and prints; the exit code."""
    asks = ask(__doc__)
    asks.add_argument("--seconds", type=float, default=20.0, help="of having nothing to do [default: 20]")
    asks.add_argument("--starts", type=int, default=5, help="of the API [default: 5]")
    asked = asks.parse_args()
    return report(_starts(asked.starts) + _idle(asked.seconds), as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
