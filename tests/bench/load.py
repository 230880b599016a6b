"""The load: keep-alive connections that each send the next request when the last is answered.

Runs as a process of its own: `load.py HOST PORT KEY CONNECTIONS SECONDS FIRST` prints one JSON object. Bare asyncio
and the least of HTTP/1.1, so that what is measured is the server. `FIRST` is the first of this round's numbers.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import cast

import uvloop

CAMPAIGN = "login-otp"
_OK = b"HTTP/1.1 202 "


def _requests(host: str, key: str, first: int) -> Iterator[bytes]:
    """Requests without end, each with a number, a code and an idempotency key of its own."""
    for n in itertools.count(first):
        body = json.dumps(
            {
                "campaign": CAMPAIGN,
                "phone_number": f"0{90 + n // 10**7}{n % 10**7:07d}",
                "otp_code": f"{1 + n % 999_999:06d}",
                "expires_in": 3600,
                "reference": f"login-{n}",
                "metadata": {"session": f"c0ffee-{n}"},
            }
        )
        yield (
            f"POST /v1/messages HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nIdempotency-Key: bench-{n}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], until: float, took_s: list[float]) -> None:
        self._requests, self._until, self._took_s = requests, until, took_s
        self._got = b""
        self._sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next(time.perf_counter())

    def _next(self, now: float) -> None:
        if now >= self._until:
            self._transport.close()
            return
        self._sent_at = now
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        if not head.startswith(_OK):
            self._fail(f"answered: {head[:60].decode()} {body[:200].decode()}")
            return
        now = time.perf_counter()
        self._took_s.append(now - self._sent_at)
        self._got = b""
        self._next(now)

    def connection_lost(self, exc: Exception | None) -> None:
        if time.perf_counter() < self._until:
            self._fail("closed the connection")
        elif not self.done.done():
            self.done.set_result(None)

    def _fail(self, what: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(what))
        self._transport.close()


def _length(head: bytes) -> int:
    at = head.lower().index(b"content-length:") + len(b"content-length:")
    return int(head[at:].split(b"\r\n", 1)[0])


async def _run(host: str, port: int, key: str, connections: int, seconds: float, first: int) -> list[float]:
    """How long each answered request took, in seconds."""
    took_s: list[float] = []
    requests = _requests(host, key, first)
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(seconds + 30):
        made = [
            await loop.create_connection(lambda: _Connection(requests, until, took_s), host, port)
            for _ in range(connections)
        ]
        await asyncio.gather(*(connection.done for _, connection in made))
    return took_s


def main() -> None:
    """Prints `count`, `p50_ms` and `p99_ms`."""
    host, port, key, connections, seconds, first = sys.argv[1:]
    took_s = sorted(uvloop.run(_run(host, int(port), key, int(connections), float(seconds), int(first))))
    p50, p99 = (took_s[int(len(took_s) * share)] * 1000 for share in (0.5, 0.99))
    print(json.dumps({"count": len(took_s), "p50_ms": p50, "p99_ms": p99}))


if __name__ == "__main__":
    main()
