"""Whether a long queue costs more: a relay with 1,000 messages queued beside one with 1,000,000.

    python -m tests.bench.million

Two APIs on a Redis each take the same load in turns, and batches are leased from both. Then all of the long queue
expires in one moment while messages are offered at 100/s: the slowest answer tells how long accepting stood still. The
worker that ends them tells its memory. Takes a quarter of an hour, and about 6 GiB of disk and 3 of memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from app.config import load_config
from app.store.batches import Batch, Batches
from app.store.opening import open_database
from tests.bench.accept import post_all
from tests.bench.figures import Figure, ask, report, say, share
from tests.bench.filled import fill
from tests.bench.offered import offer
from tests.bench.processes import OTHER_CAMPAIGN, Running, api, configuration, folder, receiver, redis, worker

SMALL = 1_000
_LEASES = 40
_FREE_NUMBERS = 70_000_000
_FILLED_A_S, _EXPIRED_A_S = 4_000, 4_000
"""Less than what is seen."""
_AHEAD_S = 6.0
_ROUND_NUMBERS = 300_000


@dataclass(slots=True)
class _Side:
    relay: Running
    file: Path
    rates: list[float] = field(default_factory=list)
    lease_ms: list[float] = field(default_factory=list)


def _measured(messages: int, rounds: int, seconds: float) -> list[Figure]:
    with contextlib.ExitStack() as stack:
        filling_s = messages / _FILLED_A_S + (rounds + 1) * 2 * (seconds + 4)
        expire_at = time.time() + filling_s
        sides = [_side(stack, count, expire_at) for count in (SMALL, messages)]
        for n in range(rounds + 1):
            for side in sides:
                got = post_all(side.relay.url, 64, seconds, _FREE_NUMBERS + n * _ROUND_NUMBERS)
                side.rates.append(got["count"] / seconds)
                side.lease_ms += asyncio.run(_leases(side.file))
        small, large = sides
        for side in sides:
            del side.rates[0]  # the first makes it warm
        say(f"accepted {_all(small.rates)} and {_all(large.rates)} a second")
        say(f"a lease of 200: {share(small.lease_ms, 0.5):.1f} and {share(large.lease_ms, 0.5):.1f} ms")
        accept = statistics.median(b / a for a, b in zip(small.rates, large.rates, strict=True))
        lease = share(small.lease_ms, 0.5) / share(large.lease_ms, 0.5)
        return [
            Figure("million", "accepted, of the rate with a short queue", accept, "", least=0.9),
            Figure("million", "leased, of the rate with a short queue", lease, "", least=0.9),
            *_expired(stack, large, messages, expire_at),
        ]


def _side(stack: contextlib.ExitStack, count: int, expire_at: float) -> _Side:
    where = stack.enter_context(folder())
    server, to = stack.enter_context(redis(where)), stack.enter_context(receiver(where))
    file = where / "relay.toml"
    file.write_text(configuration(server.url, receiver_url=to.url))
    began = time.monotonic()
    say(f"queueing {count} messages")
    asyncio.run(fill(file, count, campaign=OTHER_CAMPAIGN, expires_at_ms=round(expire_at * 1000)))
    say(f"done after {time.monotonic() - began:.0f} s")
    return _Side(stack.enter_context(api(file)), file)


def _all(rates: Sequence[float]) -> str:
    return " ".join(f"{rate:.0f}" for rate in rates)


async def _leases(file: Path) -> list[float]:
    """How long each lease took, in ms; what was leased goes back."""
    config = load_config(file)
    database = await open_database(config, wait_s=5)
    batches, campaign = Batches(database), config.campaigns[OTHER_CAMPAIGN]
    took_ms = []
    try:
        for _ in range(_LEASES):
            began = time.perf_counter()
            found = await batches.lease(campaign, config.accounts[campaign.account])
            took_ms.append(1000 * (time.perf_counter() - began))
            if not isinstance(found, Batch):
                raise SystemExit(f"nothing to lease: {found}")
            await batches.let_go(found)
            await batches.recover(most=10)
    finally:
        await database.close()
    return took_ms


def _expired(stack: contextlib.ExitStack, large: _Side, messages: int, expire_at: float) -> list[Figure]:
    """The provider is away, so nothing goes out meanwhile."""
    if (late_s := time.time() - expire_at) > -_AHEAD_S:
        raise SystemExit(
            f"they expired {late_s + _AHEAD_S:.0f} s too soon to be seen: the machine is slower than thought"
        )
    time.sleep(expire_at - _AHEAD_S - time.time())
    working = stack.enter_context(worker(large.file))
    first = _FREE_NUMBERS - 1_000_000
    before = uvloop.run(offer(large.relay.url, 100, expire_at - 1 - time.time(), first=first))
    longest_s = 1 + messages / _EXPIRED_A_S
    offered = uvloop.run(offer(large.relay.url, 100, longest_s, first=first + 100_000))
    left = asyncio.run(_left(large.file))
    say(
        f"{messages - left} of {messages} expired within {longest_s:.0f} s; worker {working.resident_mib():.0f} MiB"
    )
    accept_ms = [1000 * took_s for took_s in offered.took_s]
    say(
        f"accept before p99 {1000 * share(before.took_s, 0.99):.1f} ms, slowest {1000 * max(before.took_s):.1f} ms; "
        f"meanwhile p99 {share(accept_ms, 0.99):.1f} ms"
    )
    return [
        Figure("million", "slowest accept while all of it expires", max(accept_ms), "ms", most=50.0),
        Figure("million", "worker's memory", working.resident_mib(), "MiB", most=150),
    ]


async def _left(file: Path) -> int:
    database = await open_database(load_config(file), wait_s=5)
    try:
        count: int = await database.read("ZCARD", database.key("queued", OTHER_CAMPAIGN))
        return count
    finally:
        await database.close()


def main() -> int:
    """Measures and prints; the exit code."""
    asks = ask(__doc__)
    asks.add_argument("--messages", type=int, default=1_000_000, help="in the long queue [default: 1000000]")
    asks.add_argument("--rounds", type=int, default=5, help="of each, in turns [default: 5]")
    asks.add_argument("--seconds", type=float, default=3.0, help="of each round [default: 3]")
    asked = asks.parse_args()
    return report(_measured(asked.messages, asked.rounds, asked.seconds), as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
