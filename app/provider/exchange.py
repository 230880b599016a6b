"""One HTTP request and its answer, and the knowledge of whether anything left this machine.

Owns the connections. Never follows a redirect, keeps a cookie, uses a proxy, or lets an HTTP library's exception
out: their texts hold the URL, and with it the token.

httpx's own exceptions cannot tell what was sent: over aiohttp, a refused connect, a reset after the write and a
server that hung up all arrive as `ConnectTimeout`. So it is not guessed from exceptions at all: aiohttp reports
when a request is about to be written to a connected (and, with TLS, verified) socket; what fails before that report
sent nothing, and what fails after it may have sent everything.

The transport is called without httpx's client, which would log each URL, and at twice the speed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import SimpleNamespace

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

_MOST_CONNECTIONS = 100
_KEEP_ALIVE_S = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `body` is None where it broke off, was too large or could not be unpacked."""

    status: int
    headers: httpx.Headers
    body: bytes | None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing came back. `detail` is the kind of failure, without any of its text."""

    was_sent: bool
    detail: str


@dataclass(slots=True)
class _Progress:
    """How far one request has come."""

    may_leave: Callable[[], bool] | None
    was_sent: bool = False
    response: httpx.Response | None = None


class _Withheld(Exception):
    """The caller no longer wants the request to leave."""


_progress: ContextVar[_Progress] = ContextVar("_progress")


class Exchanger:
    """Sends requests, each within `timeout_s` from first to last, connecting within half of it.

    Without `keep_alive` each request has a connection of its own. aiohttp sends a GET again, once, when a kept
    connection turns out to be dead; it never does so with a POST.
    """

    def __init__(self, *, timeout_s: float, context: ssl.SSLContext, keep_alive: bool) -> None:
        self._timeout_s = timeout_s
        self._context = context
        self._keep_alive = keep_alive
        self._transport = AiohttpTransport(verify=context, trust_env=False, client=self._open_session)

    def _open_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=_MOST_CONNECTIONS,
            ssl=self._context,
            force_close=not self._keep_alive,
            keepalive_timeout=_KEEP_ALIVE_S if self._keep_alive else None,
        )
        traces = aiohttp.TraceConfig()
        traces.on_request_headers_sent.append(_head_is_made)
        traces.on_request_chunk_sent.append(_bytes_are_about_to_be_written)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[traces], trust_env=False
        )

    async def exchange(
        self, request: httpx.Request, *, largest_body: int, may_leave: Callable[[], bool] | None = None
    ) -> Answer | NoAnswer:
        """Sends the request once and reads its answer. Raises nothing but cancellation.

        `may_leave`, for a request with a body, is asked once the connection stands, in the very step in which the
        socket is written to: no other task runs between.
        """
        progress = _Progress(may_leave)
        phases = {"connect": self._timeout_s / 2, "pool": self._timeout_s / 2, "read": self._timeout_s}
        request.extensions = {**request.extensions, "timeout": phases}
        held = _progress.set(progress)
        body, detail = None, ""
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await self._sent_and_read(request, progress, largest_body)
        except Exception as fault:
            # Whatever it is, only two things matter (was it sent, did a status come), and its text must not get out.
            detail = type(fault.__cause__ or fault).__name__.lstrip("_")
        finally:
            _progress.reset(held)
        if progress.response is None:
            return NoAnswer(progress.was_sent, detail)
        return Answer(progress.response.status_code, progress.response.headers, body)

    async def _sent_and_read(
        self, request: httpx.Request, progress: _Progress, largest_body: int
    ) -> bytes | None:
        progress.response = response = await self._transport.handle_async_request(request)
        try:
            return await _read_up_to(largest_body, response)
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._transport.aclose()


async def _read_up_to(largest: int, response: httpx.Response) -> bytes | None:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > largest:
            return None
    return bytes(body)


# Both run in the task that called `exchange` or in one that it made, so the context is that call's own.


async def _head_is_made(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    progress = _progress.get()
    if progress.may_leave is None:
        progress.was_sent = True


async def _bytes_are_about_to_be_written(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, _params: aiohttp.TraceRequestChunkSentParams
) -> None:
    # aiohttp holds the head back for the body, which may be a task's turn later; without the body nothing is taken.
    progress = _progress.get()
    if progress.may_leave is not None and not progress.was_sent and not progress.may_leave():
        raise _Withheld
    progress.was_sent = True
