"""Whether one client's long queue makes another's code wait: 100,000 notices of one, and then a code of another.

    python -m tests.bench.fair

Both in one campaign with one import at a time, and a provider that takes 200 ms for each. Prints how long after its
POST another client's message is imported, in times of a batch: it may have to wait for the one that is under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import time
import urllib.request
from itertools import pairwise

from tests.bench.figures import Figure, ask, report, say
from tests.bench.filled import fill
from tests.bench.offered import number, request
from tests.bench.processes import (
    KEY,
    OTHER_CAMPAIGN,
    Running,
    api,
    configuration,
    folder,
    provider,
    receiver,
    redis,
    worker,
)
from tests.bench.reach import seen_by

OTHER_KEY = f"{KEY}-of-the-other"
IMPORT_MS = 200.0
_FIRST_OF_OTHER = 95_000_000
_LONGEST_S = 60.0


def _measured(messages: int, posts: int) -> list[Figure]:
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(folder())
        server, at = (
            stack.enter_context(redis(where)),
            stack.enter_context(provider(where, delay_ms=IMPORT_MS)),
        )
        to, file = stack.enter_context(receiver(where)), where / "relay.toml"
        settings: dict[str, str | int] = {"linger": '"0ms"', "concurrency": 1, "batch_size": 200}
        file.write_text(
            configuration(server.url, provider_url=at.url, receiver_url=to.url, campaign=settings)
        )
        say(f"queueing {messages} messages of one client")
        asyncio.run(fill(file, messages, campaign=OTHER_CAMPAIGN))
        relay = stack.enter_context(api(file))
        stack.enter_context(worker(file))
        _waited_ms(relay, at, _FIRST_OF_OTHER)  # the first connections are made with it
        waited_ms = [_waited_ms(relay, at, _FIRST_OF_OTHER + n) for n in range(1, posts + 1)]
        seen = seen_by(at)
        left = messages - len(seen.came)
        began = [at_s for at_s, under_way in seen.under_way if under_way == 1]
        batch_ms = 1000 * statistics.median(later - earlier for earlier, later in pairwise(began))
    say(f"a batch takes {batch_ms:.0f} ms from import to import, {IMPORT_MS:.0f} of them the provider's")
    say(f"waited, in ms: {', '.join(f'{ms:.0f}' for ms in waited_ms)}; {left} of the others still queued")
    if left <= 0:
        raise SystemExit("the queue ended before the measurement did: ask for more --messages")
    name = "POST of another to its import, of the time of a batch"
    return [Figure("fair", name, max(waited_ms) / batch_ms, "", most=1.1)]


def _waited_ms(relay: Running, at: Running, n: int) -> float:
    sent = time.monotonic()
    _post(relay, n)
    while True:
        came = dict(seen_by(at, last=1_000).came)
        if number(n) in came:
            return 1000 * (came[number(n)] - sent)
        if time.monotonic() > sent + _LONGEST_S:
            raise SystemExit("not imported in time")
        time.sleep(0.05)


def _post(relay: Running, n: int) -> None:
    head, _, body = request("bench", n, campaign=OTHER_CAMPAIGN, key=OTHER_KEY).partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    asked = urllib.request.Request(f"{relay.url}/v1/messages", data=body, headers=headers)
    with urllib.request.urlopen(asked, timeout=10) as answer:
        answer.read()


def main() -> int:
    """Measures and prints; the exit code."""
    asks = ask(__doc__)
    asks.add_argument("--messages", type=int, default=100_000, help="of the one client [default: 100000]")
    asks.add_argument("--posts", type=int, default=10, help="of the other [default: 10]")
    asked = asks.parse_args()
    return report(_measured(asked.messages, asked.posts), as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
