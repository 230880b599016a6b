"""Names to addresses for callbacks, under a policy.

Owns the seam at which a name becomes addresses: a connection is made to what `CheckedResolver` hands out, so a name
that answers otherwise a moment later gains nothing. One refused address among several refuses the name: a name
that points inwards now and then is not to be trusted with luck. Never keeps an answer.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from app.callbacks.address_policy import CallbackPolicy

LOOKUPS_AT_ONCE: Final = 128
LOOKUPS_OF_ONE_POLICY: Final = 32
"""Names that hang hold a lookup each, for as long as the system asks on: no client may hold them all."""


class CheckedResolver(AbstractResolver):
    """Answers with what `names` answers, if the policy allows every address of it; else `AddressRefused`.

    A name is looked up once at a time: those who ask meanwhile share its answer, so that one that hangs holds one
    lookup of the policy's share, however many callbacks wait for it.
    """

    def __init__(self, names: AbstractResolver, policy: CallbackPolicy) -> None:
        self._names = names
        self._policy = policy
        self._room = asyncio.Semaphore(LOOKUPS_OF_ONE_POLICY)
        self._under_way: dict[tuple[str, int], asyncio.Task[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if (host, family) not in self._under_way:
            await self._room.acquire()
            if (host, family) in self._under_way:
                self._room.release()
            else:
                self._begin(host, family)
        answers = await asyncio.shield(self._under_way[host, family])
        for answer in answers:
            self._policy.check_address(ip_address(answer["host"]), port)
        return [{**answer, "port": port} for answer in answers]

    def _begin(self, host: str, family: socket.AddressFamily) -> None:
        lookup = asyncio.ensure_future(self._names.resolve(host, 0, family))
        self._under_way[host, family] = lookup
        lookup.add_done_callback(lambda _: self._forget((host, family), lookup))

    def _forget(self, asked: tuple[str, int], lookup: asyncio.Task[list[ResolveResult]]) -> None:
        self._room.release()
        self._under_way.pop(asked, None)
        if not lookup.cancelled():
            lookup.exception()  # whoever asked may have left: nobody else would fetch it

    async def close(self) -> None:
        """Gives up what is under way; `names` belongs to whoever made it."""
        for lookup in list(self._under_way.values()):
            lookup.cancel()


class SystemNames(AbstractResolver):
    """The system's name service, in threads of its own.

    asyncio's shared threads are a handful: a name server that hangs would hold them all. And Python waits at its end
    for every thread of a pool, which here would be for a name server; these are not waited for.
    """

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        await self._room.acquire()
        lookup = _Lookup(host, family)
        lookup.answer.add_done_callback(lambda _: self._room.release())
        threading.Thread(target=lookup.run, name="callback-name", daemon=True).start()
        answers = await asyncio.shield(lookup.answer)
        return [{**answer, "port": port} for answer in answers]

    async def close(self) -> None:
        """Lookups under way end by themselves."""


class _Lookup:
    """One question to the system. Its thread ends when the system does, whether or not anybody waits by then."""

    def __init__(self, host: str, family: socket.AddressFamily) -> None:
        self._host = host
        self._family = family
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[list[ResolveResult]] = self._loop.create_future()
        self.answer.add_done_callback(lambda answer: answer.exception())

    def run(self) -> None:
        found: list[ResolveResult] | Exception
        try:
            found = _look_up(self._host, self._family)
        except Exception as fault:
            found = fault
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._tell, found)

    def _tell(self, found: list[ResolveResult] | Exception) -> None:
        if isinstance(found, Exception):
            self.answer.set_exception(found)
        else:
            self.answer.set_result(found)


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
