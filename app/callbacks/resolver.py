"""Names to addresses for callbacks, under a policy.

Owns the seam at which a name becomes addresses: a connection is made to what `CheckedResolver` hands out, so a name
that answers otherwise a moment later gains nothing. One refused address among several refuses the name: a name
that points inwards now and then is not to be trusted with luck. Never keeps an answer.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

from app.callbacks.address_policy import CallbackPolicy

_LOOKUPS_AT_ONCE = 64


class CheckedResolver(AbstractResolver):
    """Answers with what `names` answers, if the policy allows every address of it; else `AddressRefused`."""

    def __init__(self, names: AbstractResolver, policy: CallbackPolicy) -> None:
        self._names = names
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answers = await self._names.resolve(host, port, family)
        for answer in answers:
            self._policy.check_address(ip_address(answer["host"]), port)
        return [{**answer, "port": port} for answer in answers]

    async def close(self) -> None:
        """Nothing is held; `names` belongs to whoever made it."""


class SystemNames(AbstractResolver):
    """The system's name service, in threads of its own, one lookup a name at a time.

    asyncio's shared threads are a handful: a name server that hangs would hold them all and with them the lookups
    of every other destination. Here a name holds one thread at most, and those who ask meanwhile share its answer.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="callback-names")
        self._under_way: dict[tuple[str, int], asyncio.Future[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answers = await asyncio.shield(self._under_way.get((host, family)) or self._begin(host, family))
        return [{**answer, "port": port} for answer in answers]

    async def close(self) -> None:
        """Gives up lookups that have not begun; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self, host: str, family: socket.AddressFamily) -> asyncio.Future[list[ResolveResult]]:
        lookup = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, family)
        self._under_way[host, family] = lookup
        lookup.add_done_callback(lambda _: self._forget((host, family), lookup))
        return lookup

    def _forget(self, asked: tuple[str, int], lookup: asyncio.Future[list[ResolveResult]]) -> None:
        self._under_way.pop(asked, None)
        if not lookup.cancelled():
            lookup.exception()  # whoever asked may have left: nobody else would fetch it


def _look_up(host: str, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=_with_zone(address),
            port=0,
            family=kind,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, proto, _, address in found
    ]


def _with_zone(address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> str:
    host = str(address[0])
    zone = address[3] if len(address) == 4 else 0
    return f"{host}%{zone}" if zone and "%" not in host else host
