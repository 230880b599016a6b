"""Load that is offered at a rate, whatever the server does: each request has its time, and is late if it waits.

Numbers are counted up from `first`, so that what the provider got can be told apart; nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

from tests.bench.processes import CAMPAIGN, KEY


@dataclass(slots=True)
class Offered:
    """What was sent: when each was due, by number as the provider is told it, and how long its answer took, in s."""

    due: dict[str, float] = field(default_factory=dict)
    took_s: list[float] = field(default_factory=list)


def number(n: int) -> str:
    """National, as providers have it."""
    return f"09{n:08d}"


def request(host: str, n: int, *, campaign: str = CAMPAIGN, key: str = KEY) -> bytes:
    """The POST of one message."""
    code = {"otp_code": f"{1 + n % 999_999:06d}"} if campaign == CAMPAIGN else {}
    body = json.dumps(
        {"campaign": campaign, "phone_number": number(n), "reference": f"login-{n % 10_000:04d}", **code}
    )
    return (
        f"POST /v1/messages HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: bench-{n}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class _Connection(asyncio.Protocol):
    """One request at a time; free ones wait in `idle`."""

    def __init__(self, idle: asyncio.Queue[_Connection], offered: Offered) -> None:
        self._idle, self._offered = idle, offered
        self._got = b""
        self._due = 0.0
        self.broken = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._idle.put_nowait(self)

    def send(self, payload: bytes, due: float) -> None:
        """Writes it; its answer is late by what passed since `due`."""
        self._due = due
        self._transport.write(payload)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return
        if not head.startswith(b"HTTP/1.1 202 "):
            self.broken = f"{head[:40].decode()} {body[:200].decode()}"
        self._got = b""
        self._offered.took_s.append(time.monotonic() - self._due)
        self._idle.put_nowait(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.broken = self.broken or "closed the connection"

    def close(self) -> None:
        """At the end."""
        self._transport.close()


async def offer(url: str, rate: float, seconds: float, *, first: int = 0, connections: int = 64) -> Offered:
    """Sends `rate` a second; SystemExit if one was not accepted."""
    address = urlsplit(url)
    host, port = str(address.hostname), int(address.port or 80)
    offered, idle = Offered(), asyncio.Queue[_Connection]()
    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: _Connection(idle, offered), host, port))[1]
        for _ in range(connections)
    ]
    began = time.monotonic() + 0.05
    for n in range(round(rate * seconds)):
        due = began + n / rate
        await asyncio.sleep(max(due - time.monotonic(), 0))
        free = await idle.get()
        offered.due[number(first + n)] = due
        free.send(request(host, first + n), due)
    async with asyncio.timeout(30):
        for _ in made:
            await idle.get()
    broken = [one.broken for one in made if one.broken]
    for one in made:
        one.close()
    if broken:
        raise SystemExit(f"not accepted: {broken[0]}")
    return offered
