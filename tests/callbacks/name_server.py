"""A name server of a test's own on loopback, and two ways to ask it: as the system does, and by hand.

It speaks DNS over UDP (RFC 1035): A, AAAA and CNAME records, silence, and garbage. `system_names` turns the C library's
own resolver to it, in the threads that look names up. Where that library is not glibc, or asks another service first,
`asked_by_hand` puts the same questions over the same socket.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

import app.callbacks.resolver as resolver_module
from app.callbacks.resolver import SystemNames

A, CNAME, AAAA = 1, 5, 28
_NXDOMAIN = 3
_HEADER = struct.Struct("!6H")
_LOOK_UP = resolver_module._look_up
LONGEST_S = 1


@dataclass(frozen=True)
class Alias:
    """A CNAME."""

    to: str


Answer = list[str | Alias] | bytes | None
"""Addresses and aliases; bytes as they are; None: no answer at all."""


@dataclass
class NameServer:
    """Names with the answers that each question takes in turn; the last one stays. Others do not exist."""

    zone: dict[str, list[Answer]]
    ttl_s: int = 0
    port: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)

    def answer(self, query: bytes) -> bytes | None:
        """What to send back."""
        name, kind, question = _question(query)
        self.asked.append((name, kind))
        rows = self.zone.get(name)
        if rows is None:
            return _message(query, question, [], _NXDOMAIN)
        answer = rows[0] if kind == AAAA or len(rows) == 1 else rows.pop(0)
        if answer is None or isinstance(answer, bytes):
            return answer and query[:2] + answer
        return _message(query, question, [one for row in answer for one in self._records(name, row, kind)], 0)

    def _records(self, name: str, row: str | Alias, kind: int) -> list[bytes]:
        if isinstance(row, Alias):
            rest = [one for rows in self.zone[row.to][:1] if isinstance(rows, list) for one in rows]
            alias = _record(name, CNAME, _name(row.to), self.ttl_s)
            return [alias, *(one for each in rest for one in self._records(row.to, each, kind))]
        address = ip_address(row)
        if (A if address.version == 4 else AAAA) != kind:
            return []
        return [_record(name, kind, address.packed, self.ttl_s)]

    def times_asked(self, name: str) -> int:
        """How often its IPv4 addresses were asked for."""
        return self.asked.count((name, A))


@asynccontextmanager
async def serving_names(server: NameServer) -> AsyncIterator[NameServer]:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        server.port = sock.getsockname()[1]

        async def answer_all() -> None:
            while True:
                query, asker = await loop.sock_recvfrom(sock, 4096)
                if (answer := server.answer(query)) is not None:
                    await loop.sock_sendto(sock, answer, asker)

        answering = asyncio.ensure_future(answer_all())
        try:
            yield server
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)


async def system_names(server: NameServer, patch: Callable[[object, str, object], None]) -> AbstractResolver:
    """`SystemNames` whose getaddrinfo asks this server; where it cannot be made to, `asked_by_hand`."""

    def look_up(host: str, family: socket.AddressFamily) -> list[ResolveResult]:
        _turn_glibc_to(server.port)
        return _LOOK_UP(host, family)

    server.zone["probe.name-server.example"] = [["192.0.2.77"]]
    patch(resolver_module, "_look_up", look_up)
    with suppress(OSError):
        found = await SystemNames().resolve("probe.name-server.example")
        if [one["host"] for one in found] == ["192.0.2.77"]:
            return SystemNames()
    patch(resolver_module, "_look_up", _LOOK_UP)
    return asked_by_hand(server)


def asked_by_hand(server: NameServer) -> AbstractResolver:
    """A resolver that asks this server for A and AAAA, and takes what it says as it says it."""
    return _ByHand(server)


class _State(ctypes.Structure):
    """The head of glibc's `struct __res_state`, which each thread has of its own."""

    _fields_ = (
        ("retrans_s", ctypes.c_int),
        ("retry", ctypes.c_int),
        ("options", ctypes.c_ulong),
        ("servers", ctypes.c_int),
        ("address", ctypes.c_uint8 * 16),
    )


def _turn_glibc_to(port: int) -> None:
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  raises where it is another library
        libc.__res_state.restype = ctypes.POINTER(_State)
        libc.__res_init()
        state = libc.__res_state().contents
    except AttributeError:
        return
    state.retrans_s, state.retry, state.servers = LONGEST_S, 1, 1
    where = (
        struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton("127.0.0.1") + bytes(8)
    )
    ctypes.memmove(state.address, where, len(where))


class _ByHand(AbstractResolver):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.gather(*(self._ask(host, kind) for kind in (A, AAAA)))
        addresses = list(itertools.chain(*found))
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [
            ResolveResult(
                hostname=host,
                host=str(one),
                port=port,
                family=socket.AF_INET if one.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for one in addresses
        ]

    async def _ask(self, host: str, kind: int) -> list[IPv4Address | IPv6Address]:
        loop = asyncio.get_running_loop()
        query = (
            _HEADER.pack(random.getrandbits(16), 0x0100, 1, 0, 0, 0)
            + _name(host)
            + struct.pack("!2H", kind, 1)
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", self._server.port))
            await loop.sock_sendall(sock, query)
            try:
                async with asyncio.timeout(LONGEST_S):
                    return _addresses(await loop.sock_recv(sock, 4096), len(query), kind)
            except (TimeoutError, struct.error, IndexError) as fault:
                raise socket.gaierror(socket.EAI_AGAIN, "try again") from fault

    async def close(self) -> None:
        return


def _name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _question(query: bytes) -> tuple[str, int, bytes]:
    at, labels = _HEADER.size, list[str]()
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    (kind,) = struct.unpack_from("!H", query, at + 1)
    return ".".join(labels).lower(), kind, query[_HEADER.size : at + 5]


def _record(name: str, kind: int, data: bytes, ttl_s: int) -> bytes:
    return _name(name) + struct.pack("!2HIH", kind, 1, ttl_s, len(data)) + data


def _message(query: bytes, question: bytes, records: list[bytes], code: int) -> bytes:
    head = _HEADER.pack(int.from_bytes(query[:2]), 0x8580 | code, 1, len(records), 0, 0)
    return head + question + b"".join(records)


def _addresses(answer: bytes, at: int, kind: int) -> list[IPv4Address | IPv6Address]:
    found: list[IPv4Address | IPv6Address] = []
    _, flags, questions, records, _, _ = _HEADER.unpack_from(answer)
    if not flags & 0x8000 or questions != 1:
        raise IndexError("not an answer")
    for _ in range(records):
        while answer[at]:
            at += 1 + answer[at]
        this, _, _, size = struct.unpack_from("!2HIH", answer, at + 1)
        at += 11
        if this == kind:
            found.append(ip_address(answer[at : at + size]))
        at += size
    return found
