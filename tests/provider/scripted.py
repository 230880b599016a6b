"""A provider on loopback that does to each connection what the test scripted, down to resets and half answers."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def json(self) -> dict[str, object]:
        parsed = json.loads(self.body)
        assert isinstance(parsed, dict)
        return parsed


Step = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Answers each request with the next step; the last one stays. `connections` counts those accepted."""

    steps: list[Step]
    port: int = 0
    scheme: str = "http"
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def base_url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (request := await _read_request(reader)) is not None:
                self.requests.append(request)
                self.arrived.set()
                step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
                await step(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, target, _ = first.split(" ")
    return Request(method, target, headers, body)


@asynccontextmanager
async def serving(*steps: Step, context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    scripted = Server(list(steps), scheme="http" if context is None else "https")
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(scripted.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answer(body: object, status: int = 200, **headers: str) -> Step:
    """A whole answer; `body` is sent as JSON unless it is bytes. Header names are given with underscores."""
    return raw(_whole(body, status, headers))


def _whole(body: object, status: int, headers: dict[str, str]) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in {"content-length": str(len(content)), **named}.items()]
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *lines, "", ""]).encode() + content


def raw(octets: bytes) -> Step:
    async def step(writer: asyncio.StreamWriter) -> None:
        writer.write(octets)
        await writer.drain()

    return step


def answer_then_hang_up(body: object, status: int = 200) -> Step:
    async def step(writer: asyncio.StreamWriter) -> None:
        writer.write(_whole(body, status, {}))
        await writer.drain()
        writer.close()

    return step


def half_then_hang_up(body: object, status: int = 200) -> Step:
    async def step(writer: asyncio.StreamWriter) -> None:
        whole = _whole(body, status, {})
        writer.write(whole[: len(whole) - 10])
        await writer.drain()
        writer.close()

    return step


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def never_answer(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def drip(octets: bytes, every_s: float = 0.05) -> Step:
    """An endless answer, a few bytes at a time, each well within any read timeout."""

    async def step(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while True:
            writer.write(octets)
            await writer.drain()
            await asyncio.sleep(every_s)

    return step
