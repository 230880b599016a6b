"""A destination on loopback that answers byte for byte what a test says, and names that point where a test says."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

from app.callbacks.address_policy import CallbackPolicy
from app.origin import AllowEntry

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(raw: bytes) -> Script:
    """Answers every request of a connection with these bytes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return script


@dataclass
class Destination:
    """What was received, in order: the connections, and each request as head and body."""

    script: Script = field(default_factory=lambda: answering(OK))
    port: int = 0
    connections: int = 0
    requests: list[tuple[bytes, bytes]] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever the other side has ended a connection."""

    def url(self, path: str = "/otp-outcomes", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                )
                self.requests.append((head, await reader.readexactly(length)))
                await self.script(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            self.closed.set()
        finally:
            writer.close()


@asynccontextmanager
async def listening(
    destination: Destination, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Destination]:
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(destination.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, host, 0, ssl=tls)
    destination.port = server.sockets[0].getsockname()[1]
    try:
        yield destination
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Names(AbstractResolver):
    """A name service of a test's own. Each question takes the next list of addresses; the last one stays."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("__", "-").replace("_", "."): rows for name, rows in answers.items()}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        rows = self.answers[host]
        return [_result(host, address) for address in (rows.pop(0) if len(rows) > 1 else rows[0])]

    async def close(self) -> None:
        return


def _result(host: str, address: str) -> ResolveResult:
    family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
    return ResolveResult(
        hostname=host, host=address, port=0, family=family, proto=socket.IPPROTO_TCP, flags=0
    )


def policy(*entries: str) -> CallbackPolicy:
    return CallbackPolicy([AllowEntry.parse(entry) for entry in entries])


LOOPBACK_LISTED = policy("http://127.0.0.1:*", "https://127.0.0.1:*")
