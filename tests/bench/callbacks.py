"""How fast outcomes reach their receiver: from a full queue by one worker, and callbacks alone beside a bare client.

    python -m tests.bench.callbacks

`queue to callback`: messages wait, one worker imports them, reads their rows, and posts signed callbacks to a receiver
that verifies each. `callbacks alone`: the same receiver, the relay's own sender in this process against a bare aiohttp
client that posts signed bodies of 1 KiB, in turns, both with as many at once as a destination may have.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import msgspec
import uvloop

from app.callbacks.address_policy import CallbackPolicy
from app.callbacks.delivery import CallbackSender, Verdict
from app.callbacks.signing import Signer
from app.config import load_config
from tests.bench.figures import Figure, ask, report, say
from tests.bench.filled import fill
from tests.bench.processes import Running, configuration, folder, provider, receiver, redis, worker
from tests.bench.reach import seen_by

AT_ONCE = 32
_LONGEST_S = 120.0


class Told(msgspec.Struct):
    """What the receiver tells."""

    came: int
    verified: int
    different: int
    first: float
    last: float


def told_by(at: Running) -> Told:
    """By now."""
    with urllib.request.urlopen(f"{at.url}/seen", timeout=30) as answer:
        return msgspec.json.decode(answer.read(), type=Told)


def _through(messages: int) -> list[Figure]:
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(folder())
        server, at = stack.enter_context(redis(where)), stack.enter_context(provider(where))
        to = stack.enter_context(receiver(where))
        file = Path(where / "relay.toml")
        text = configuration(server.url, provider_url=at.url, receiver_url=to.url)
        file.write_text(text)
        asyncio.run(fill(file, messages))
        before_s = server.cpu_s()
        working = stack.enter_context(worker(file))
        _all_verified(to, messages)
        told, seen = told_by(to), seen_by(at)
        cpu = [1e6 * used / messages for used in (working.cpu_s(), server.cpu_s() - before_s)]
    took_s = told.last - min(at_s for _, at_s in seen.came)
    say(f"{messages} in {took_s:.2f} s; CPU a message: worker {cpu[0]:.0f}, redis {cpu[1]:.0f} µs")
    return [
        Figure("callbacks", "queue to verified callback, one worker", messages / took_s, "/s", least=1_500),
        Figure(
            "callbacks", "callbacks more than one a message", float(told.came - told.different), "", most=0
        ),
    ]


def _all_verified(to: Running, messages: int) -> None:
    give_up = time.monotonic() + _LONGEST_S
    while (told := told_by(to)).different < messages:
        if time.monotonic() > give_up:
            raise SystemExit(f"only {told} of {messages} in {_LONGEST_S:.0f} s")
        time.sleep(0.2)


async def _alone(file: Path, url: str, rounds: int, posts: int) -> list[Figure]:
    config = load_config(file)
    client = config.clients["bench"]
    signer, policy = Signer(client.signing_secrets), CallbackPolicy(client.callback_allow)
    body = b'{"type":"message.answered","data":{"filler":"%s"}}' % (b"x" * 974)
    rates: dict[str, list[float]] = {"bare": [], "relay": []}
    cpus: dict[str, list[float]] = {"bare": [], "relay": []}

    def signed(n: int) -> dict[str, str]:
        return {**signer.headers(f"evt_{n}", int(time.time()), body), "content-type": "application/json"}

    async with (
        CallbackSender(config.callbacks) as sender,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session,
    ):

        async def by_relay(n: int) -> bool:
            attempt = await sender.send(url, policy, signed(n), body)
            return attempt.verdict is Verdict.DELIVERED

        async def by_bare(n: int) -> bool:
            async with session.post(url, headers=signed(n), data=body) as answer:
                return answer.status == 204

        for _ in range(rounds):
            for name, post in (("bare", by_bare), ("relay", by_relay)):
                cpu_s, took_s = await _post_all(post, posts)
                rates[name].append(posts / took_s)
                cpus[name].append(1e6 * cpu_s / posts)
    for name in rates:
        say(
            f"{name}: {statistics.median(rates[name]):.0f}/s, CPU {statistics.median(cpus[name]):.0f} µs a post"
        )
    ratio = statistics.median(b / a for a, b in zip(rates["bare"], rates["relay"], strict=True))
    return [Figure("callbacks", "callbacks alone, of a bare client's rate", ratio, "", least=0.5)]


async def _post_all(post: Callable[[int], Awaitable[bool]], posts: int) -> tuple[float, float]:
    left = iter(range(posts))

    async def some() -> None:
        for n in left:
            if not await post(n):
                raise SystemExit("a post was not taken")

    cpu_s, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return time.process_time() - cpu_s, time.perf_counter() - began


def main() -> int:
    """Measures and prints; the exit code."""
    asks = ask(__doc__)
    asks.add_argument("--messages", type=int, default=10_000, help="in the queue [default: 10000]")
    asks.add_argument("--rounds", type=int, default=5, help="of each client, in turns [default: 5]")
    asks.add_argument("--posts", type=int, default=3_000, help="of each round [default: 3000]")
    asked = asks.parse_args()
    figures = _through(asked.messages)
    with folder() as where, receiver(where) as to:
        file = where / "relay.toml"
        file.write_text(configuration("redis://localhost", receiver_url=to.url))
        figures += uvloop.run(_alone(file, f"{to.url}/outcomes", asked.rounds, asked.posts))
    return report(figures, as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
