"""A provider that costs next to nothing: it takes every contact, calls it at once, and answers an export from a list.

Runs as a process of its own (`provider.py DELAY_MS ENDS`) where the sandbox, which plays what a provider may do, would
be what is measured. Tells by `/seen` when each number came, how many imports were under way, how often it was asked.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from bisect import bisect_left
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import uvloop
from aiohttp import web

_ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
_PAGE = 500


class _Import(msgspec.Struct):
    contacts: list[dict[str, str]]


class Provider:
    """Times are `time.monotonic` of this machine, which all its processes share."""

    def __init__(self, delay_s: float, *, calls_end: bool) -> None:
        self._delay_s = delay_s
        self._calls_end = calls_end
        self._read = msgspec.json.Decoder(_Import)
        self._came: list[tuple[str, float]] = []
        self._sizes: list[int] = []
        self._under_way: list[tuple[float, int]] = [(time.monotonic(), 0)]
        self._exports = self._tokens = self._rows_served = 0
        self._called_ms: list[int] = []
        self._rows: list[bytes] = []

    async def take(self, request: web.Request) -> web.Response:
        """An import."""
        now = time.monotonic()
        contacts = self._read.decode(await request.read()).contacts
        self._under_way.append((now, self._under_way[-1][1] + 1))
        self._sizes.append(len(contacts))
        results = []
        for contact in contacts:
            self._came.append((contact["phone_number"], now))
            results.append(
                {"phone_number": contact["phone_number"], "call_id": self._call(contact["phone_number"])}
            )
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        self._under_way.append((time.monotonic(), self._under_way[-1][1] - 1))
        return _done(results)

    def _call(self, number: str) -> int:
        now = time.time()
        call_id = len(self._came)
        if not self._calls_end:
            return call_id
        row = {
            "call_id": str(call_id),
            "caller_id": "02471001234",
            "callee_id": number,
            "called_at": datetime.fromtimestamp(now, _ZONE).strftime("%Y-%m-%d %H:%M:%S"),
            "duration": 8,
            "key_press": "",
            "note": "NORMAL CLEARING",
            "state": 40,
        }
        self._called_ms.append(int(now) * 1000)
        self._rows.append(json.dumps(row).encode())
        return call_id

    async def export(self, request: web.Request) -> web.Response:
        """Rows by when the call was made."""
        self._exports += 1
        ask = request.query
        first = bisect_left(self._called_ms, int(ask.get("start_time", 0)))
        last = bisect_left(self._called_ms, int(ask.get("end_time", 2**60)) + 1)
        start = first + int(ask.get("offset", 0))
        rows = self._rows[start : min(last, start + min(int(ask.get("limit", 10)), _PAGE))]
        self._rows_served += len(rows)
        body = b'{"status": 1, "results": {"total": %d, "calls": [%s]}}' % (last - first, b", ".join(rows))
        return web.Response(body=body, content_type="application/json")

    async def token(self, request: web.Request) -> web.Response:
        """A token for an hour."""
        self._tokens += 1
        claims = base64.urlsafe_b64encode(json.dumps({"exp": int(time.time()) + 3600}).encode()).decode()
        return _done({"access_token": f"eyJhbGciOiJIUzI1NiJ9.{claims.rstrip('=')}.x"})

    async def seen(self, request: web.Request) -> web.Response:
        """What came so far; with `?last=`, only the last so many of each."""
        last = -int(request.query.get("last", 10**9))
        return web.json_response(
            {
                "came": self._came[last:],
                "sizes": self._sizes[last:],
                "under_way": self._under_way[last:],
                "exports": self._exports,
                "tokens": self._tokens,
                "rows_served": self._rows_served,
            }
        )


def _done(results: object) -> web.Response:
    body = msgspec.json.encode({"status": 1, "message": "", "results": results})
    return web.Response(body=body, content_type="application/json")


async def _serve(delay_s: float, *, calls_end: bool) -> None:
    provider = Provider(delay_s, calls_end=calls_end)
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/api/campaigns/{campaign}/import", provider.take)
    app.router.add_get("/api/campaigns/{campaign}/export", provider.export)
    app.router.add_get("/api/users/generate-access-token", provider.token)
    app.router.add_get("/seen", provider.seen)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(json.dumps({"event": "provider ready", "url": f"http://{host}:{port}"}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(float(sys.argv[1]) / 1000, calls_end=sys.argv[2] == "1"))
