"""One attempt to deliver a callback.

Owns a single POST and the verdict on its answer. Knows nothing of queues, tries, leases or signatures: it is handed
headers and a body, and tells what came of them. Never follows a redirect, never raises for a destination's fault,
and never lets a destination hold it past the time-out: the status line is the verdict, the body is not waited for.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from app.callbacks.address_policy import CallbackPolicy, CallbackRefused
from app.callbacks.connections import Connections, Progress
from app.callbacks.faults import fault_in_words
from app.callbacks.resolver import SystemNames
from app.callbacks.schedule import parse_retry_after
from app.config import CallbacksConfig
from app.origin import CallbackUrl

_LARGEST_BODY: Final = 64 * 1024
_BODY_GRACE_S: Final = 0.25
"""How long a body may take so that its connection can be used again; a slower one costs the connection."""
_OWN_HEADERS: Final = {
    "content-type": "application/json",
    "user-agent": "otp-relay",
    "accept": "*/*",
    "accept-encoding": "identity",
}


class Verdict(StrEnum):
    """What an attempt means for its callback."""

    DELIVERED = "delivered"
    RETRY = "retry"
    GONE = "gone"
    """410: no further try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of one attempt."""

    verdict: Verdict
    status: int | None
    """None where no status line was read."""
    error: str | None
    """A short fixed phrase without host, path or query; None where delivered."""
    retry_after_s: float | None
    """What the destination asked for, as it asked; `schedule` bounds it."""
    took_s: float
    refused: bool = False
    """We would not send it: this says nothing about the destination."""


class CallbackSender:
    """Sends callbacks; one serves a process. Use it as an async context manager, or `close` it.

    `resolver` takes the place of the system's name service; it stays its maker's to close. A `ca_file` that cannot
    be read raises `OSError` (`ssl.SSLError` among them) here and not at the first attempt.
    """

    def __init__(self, config: CallbacksConfig, *, resolver: AbstractResolver | None = None) -> None:
        self._timeout_s = config.timeout.total_seconds()
        self._own_names: SystemNames | None = None
        if resolver is None:
            resolver = self._own_names = SystemNames()
        self._connections = Connections(
            verifying_context(config.ca_file), resolver, config.concurrency_per_destination
        )

    async def __aenter__(self) -> CallbackSender:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections; attempts under way end as failed."""
        await self._connections.close()
        if self._own_names is not None:
            await self._own_names.close()

    async def send(
        self, url: str, policy: CallbackPolicy, headers: Mapping[str, str], body: bytes
    ) -> Attempt:
        """POSTs `body` once, within the configured time-out, to an address that `policy` allows.

        The URL is checked again: what was allowed when a message was accepted may not be allowed now.
        """
        began, progress = monotonic(), Progress()
        try:
            target = policy.check_url(url)
            if (address := target.origin.address) is not None:
                policy.check_address(address, target.origin.port)
            async with self._connections.session(policy) as session:
                answer = await self._post(session, target, headers, body, progress)
                return await _judge(answer, began)
        except CallbackRefused as refused:
            return replace(_failed(_refusal(refused), began), refused=True)
        except Exception as fault:
            # Whatever an answer brings to light: an attempt that raises would be leased and made again without end.
            return _failed(fault_in_words(fault, progress.phase), began)

    async def _post(
        self,
        session: aiohttp.ClientSession,
        target: CallbackUrl,
        headers: Mapping[str, str],
        body: bytes,
        progress: Progress,
    ) -> aiohttp.ClientResponse:
        async with asyncio.timeout(self._timeout_s):
            return await session.post(
                URL(str(target), encoded=True),
                data=body,
                headers={**_OWN_HEADERS, **headers},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_s),
                trace_request_ctx=progress,
            )


def verifying_context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 and later against that bundle, or the system's. The environment cannot have it give its keys away."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.keylog_filename = None  # type: ignore[assignment]  # SSLKEYLOGFILE
    return context


async def _judge(answer: aiohttp.ClientResponse, began: float) -> Attempt:
    try:
        attempt = _judged(answer, began)
        await _drain(answer.content)
        return attempt
    finally:
        answer.close()  # nothing happens where the body has ended: the connection is back in its pool


def _judged(answer: aiohttp.ClientResponse, began: float) -> Attempt:
    status = answer.status
    if 200 <= status < 300:
        verdict, error = Verdict.DELIVERED, None
    elif status == 410:
        verdict, error = Verdict.GONE, "gone"
    elif 300 <= status < 400:
        verdict, error = Verdict.RETRY, "redirects are not followed"
    else:
        verdict, error = Verdict.RETRY, "not a 2xx answer"
    asked = answer.headers.get("retry-after")
    return Attempt(
        verdict=verdict,
        status=status,
        error=error,
        retry_after_s=None if asked is None else parse_retry_after(asked, datetime.now(UTC)),
        took_s=monotonic() - began,
    )


async def _drain(content: aiohttp.StreamReader) -> None:
    """Reads a short, prompt body to its end, for then its connection serves again. The verdict stands without."""
    with suppress(aiohttp.ClientError, OSError):  # TimeoutError is an OSError
        async with asyncio.timeout(_BODY_GRACE_S):
            left = _LARGEST_BODY
            while left > 0 and (chunk := await content.readany()):
                left -= len(chunk)


def _failed(error: str, began: float) -> Attempt:
    return Attempt(
        verdict=Verdict.RETRY, status=None, error=error, retry_after_s=None, took_s=monotonic() - began
    )


def _refusal(refused: CallbackRefused) -> str:
    words = str(refused)
    return words if words.startswith("address not allowed") else f"url not allowed: {words}"
