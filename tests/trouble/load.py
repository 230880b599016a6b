"""A caller under way: so many POSTs a second over connections that are kept alive.

It behaves as a careful caller does: another API is tried only when a connection is refused, which says surely that
nothing was accepted; round twice, for one may come up while the other goes. Everything else is written down as it came.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.trouble.stage import API_KEY

_MOST_UNDER_WAY = 200


def number(n: int) -> str:
    """The n-th of many numbers, each of which is answered when it is called."""
    return f"+8490{100 + n // 9000:03d}{1000 + n % 9000:04d}"


@dataclass(slots=True)
class Post:
    """One POST as its caller saw it. `kind`: `202`, the problem's type, or the error of the connection."""

    number: str
    kind: str
    message: dict[str, Any]
    retry_after: str | None
    took_s: float
    at_s: float
    """When it was sent, by the monotonic clock."""


@dataclass(slots=True)
class Caller:
    """What was sent so far. `urls` are tried in turn."""

    urls: Sequence[str]
    session: aiohttp.ClientSession
    posts: list[Post] = field(default_factory=list)
    refused: int = 0
    """Connections refused, each followed by a try at another API."""
    _sent: int = 0

    def of(self, kind: str) -> list[Post]:
        return [post for post in self.posts if post.kind == kind]

    async def send(self) -> Post:
        """One POST to a number of its own."""
        mine, self._sent = self._sent, self._sent + 1
        started = time.monotonic()
        body = {"campaign": "login-otp", "phone_number": number(mine), "otp_code": "004217"}
        kind, answer, retry_after = await self._post(mine, body)
        post = Post(number(mine), kind, answer, retry_after, time.monotonic() - started, started)
        self.posts.append(post)
        return post

    async def until_taken(self) -> Post:
        """Sends, again and again, until a message is accepted."""
        while (post := await self.send()).kind != "202":  # noqa: ASYNC110  it tells no other way
            await asyncio.sleep(0.1)
        return post

    async def _post(self, mine: int, body: dict[str, str]) -> tuple[str, dict[str, Any], str | None]:
        for turn in range(2 * len(self.urls)):
            url = self.urls[(mine + turn) % len(self.urls)]
            try:
                async with self.session.post(f"{url}/v1/messages", json=body) as answer:
                    if answer.status not in (202, 503):
                        return str(answer.status), {}, None
                    said = await answer.json(content_type=None)
                    kind = "202" if answer.status == 202 else str(said["type"]).rpartition("/")[2]
                    return kind, said, answer.headers.get("retry-after")
            except aiohttp.ClientConnectorError as error:
                if error.os_error.errno != errno.ECONNREFUSED:
                    return type(error).__name__, {}, None
                self.refused += 1
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                return type(error).__name__, {}, None
        return "refused by all", {}, None


@contextlib.asynccontextmanager
async def calling(urls: Sequence[str], *, per_second: float = 0) -> AsyncIterator[Caller]:
    """A caller that sends so many a second, on time whatever becomes of the others, until the end of the block."""
    connector = aiohttp.TCPConnector(limit=_MOST_UNDER_WAY, keepalive_timeout=75)
    session = aiohttp.ClientSession(
        connector=connector,
        headers={"authorization": f"Bearer {API_KEY}"},
        timeout=aiohttp.ClientTimeout(total=20),
    )
    async with session:
        caller = Caller(urls, session)
        pacing = asyncio.create_task(_keep_pace(caller, per_second))
        try:
            yield caller
        finally:
            pacing.cancel()
            await asyncio.gather(pacing, return_exceptions=True)


async def _keep_pace(caller: Caller, per_second: float) -> None:
    if not per_second:
        return
    started, sent = time.monotonic(), 0
    async with asyncio.TaskGroup() as group:
        try:
            while True:
                due = int((time.monotonic() - started) * per_second)
                while sent < due:
                    group.create_task(caller.send())
                    sent += 1
                await asyncio.sleep(1 / per_second)
        except asyncio.CancelledError:
            pass  # those under way may end
