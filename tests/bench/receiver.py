"""A callback receiver that verifies each signature and costs little else: `receiver.py SECRET`, a process of its own.

Bare asyncio and the least of HTTP/1.1, as `load.py` is. `GET /seen` tells how many came, how many were verified, and
when the first and the last did (`time.monotonic`, which all processes of the machine share).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
from typing import cast

import uvloop


class Seen:
    """What came."""

    def __init__(self, secret: str) -> None:
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self.came = self.verified = 0
        self.ids: set[bytes] = set()
        self.first = self.last = 0.0

    def take(self, headers: dict[bytes, bytes], body: bytes) -> None:
        """One callback: Standard Webhooks' HMAC over id, time and body."""
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.came += 1
        signed = b"%s.%s.%s" % (headers[b"webhook-id"], headers[b"webhook-timestamp"], body)
        wanted = b"v1," + base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256))
        if wanted in headers[b"webhook-signature"].split(b" "):
            self.verified += 1
            self.ids.add(headers[b"webhook-id"])

    def told(self) -> bytes:
        """As JSON."""
        return json.dumps(
            {
                "came": self.came,
                "verified": self.verified,
                "different": len(self.ids),
                "first": self.first,
                "last": self.last,
            }
        ).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, seen: Seen) -> None:
        self._seen, self._got = seen, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._got += data
        while b"\r\n\r\n" in self._got:
            head, _, rest = self._got.partition(b"\r\n\r\n")
            line, *lines = head.split(b"\r\n")
            headers = {}
            for one in lines:
                name, _, value = one.partition(b":")
                headers[name.lower()] = value.strip()
            length = int(headers.get(b"content-length", 0))
            if len(rest) < length:
                return
            self._got = rest[length:]
            self._answer(line, headers, rest[:length])

    def _answer(self, line: bytes, headers: dict[bytes, bytes], body: bytes) -> None:
        if line.startswith(b"GET"):
            told = self._seen.told()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(told), told))
            return
        self._seen.take(headers, body)
        self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def _serve(secret: str) -> None:
    seen = Seen(secret)
    serving = await asyncio.get_running_loop().create_server(lambda: _Connection(seen), "127.0.0.1", 0)
    host, port = serving.sockets[0].getsockname()[:2]
    print(json.dumps({"event": "receiver ready", "url": f"http://{host}:{port}"}), flush=True)
    await serving.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
