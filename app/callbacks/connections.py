"""Connections to callback destinations, kept apart by policy.

Owns the aiohttp sessions. Each policy has its own pool, so that a connection to an address which one client lists is
never reused for a client that does not; an address is checked where names are resolved and once more where the
socket is made, for aiohttp asks no resolver about a literal address. Never follows the environment's proxies,
keeps no cookie, unpacks no body, reads no answer past its bound.
"""

from __future__ import annotations

import socket
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver

from app.callbacks.address_policy import CallbackPolicy
from app.callbacks.bounded import bound_answers
from app.callbacks.resolver import CheckedResolver

MAX_IDLE_POOLS: Final = 256
KEEPALIVE_S: Final = 3.0
"""Below the 5 s after which common servers close: a POST on a connection just being closed would be lost."""


class _Pool:
    __slots__ = ("session", "users")

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.users = 0


class Connections:
    """One session a policy, made when first needed; the longest unused are closed past `max_idle`."""

    def __init__(
        self,
        tls: ssl.SSLContext,
        names: AbstractResolver,
        per_destination: int,
        max_idle: int = MAX_IDLE_POOLS,
    ) -> None:
        self._tls = tls
        self._names = names
        self._per_destination = per_destination
        self._max_idle = max_idle
        self._pools: OrderedDict[CallbackPolicy, _Pool] = OrderedDict()

    @asynccontextmanager
    async def session(self, policy: CallbackPolicy) -> AsyncIterator[aiohttp.ClientSession]:
        """The policy's session, which is not closed while it is held here."""
        pool = self._pools.get(policy) or self._pools.setdefault(policy, _Pool(self._open(policy)))
        self._pools.move_to_end(policy)
        pool.users += 1
        try:
            yield pool.session
        finally:
            pool.users -= 1
            await self._drop_idle()

    async def close(self) -> None:
        """Closes every connection at once."""
        while self._pools:
            _, pool = self._pools.popitem()
            await pool.session.close()

    async def _drop_idle(self) -> None:
        excess = len(self._pools) - self._max_idle
        if excess <= 0:
            return
        idle = [policy for policy, pool in self._pools.items() if not pool.users][:excess]
        for pool in [self._pools.pop(policy) for policy in idle]:
            await pool.session.close()

    def _open(self, policy: CallbackPolicy) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=CheckedResolver(self._names, policy),
            use_dns_cache=False,
            ssl=self._tls,
            limit=0,
            limit_per_host=self._per_destination,
            keepalive_timeout=KEEPALIVE_S,
            socket_factory=_checked_sockets(policy),
        )
        bound_answers(connector)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            trace_configs=[_phases()],
            timeout=aiohttp.ClientTimeout(total=None),
        )


def _checked_sockets(policy: CallbackPolicy) -> aiohttp.SocketFactoryType:
    def open_socket(target: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, proto, _, address = target
        policy.check_address(ip_address(str(address[0])), int(address[1]))
        return socket.socket(family, kind, proto)

    return open_socket


class Progress:
    """How far an attempt has come, as words for its time-out. Hand it to a request as `trace_request_ctx`."""

    __slots__ = ("phase",)

    def __init__(self) -> None:
        self.phase = "connecting"


def _phases() -> aiohttp.TraceConfig:
    async def note(phase: str, context: SimpleNamespace) -> None:
        progress = context.trace_request_ctx
        if isinstance(progress, Progress):
            progress.phase = phase

    async def resolving(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        await note("resolving the name", context)

    async def connecting(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        await note("connecting", context)

    async def answering(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        await note("waiting for an answer", context)

    phases = aiohttp.TraceConfig()
    phases.on_dns_resolvehost_start.append(resolving)
    phases.on_dns_resolvehost_end.append(connecting)
    phases.on_connection_create_end.append(answering)
    phases.on_connection_reuseconn.append(answering)
    return phases
