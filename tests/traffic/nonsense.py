"""A Redis that answers its start-up questions well, and everything after that with what nobody asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


async def _command(reader: asyncio.StreamReader) -> list[bytes]:
    count = int((await reader.readline())[1:])
    words = []
    for _ in range(count):
        size = int((await reader.readline())[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words


def _bulk(text: bytes | None) -> bytes:
    return b"$-1\r\n" if text is None else b"$%d\r\n%b\r\n" % (len(text), text)


@asynccontextmanager
async def nonsense_redis(nonsense: bytes) -> AsyncIterator[str]:
    """Its URL. `nonsense` is its answer, in bytes, to every command but those of a start."""
    kept: dict[bytes, bytes] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                match await _command(reader):
                    case [b"CONFIG", *_]:
                        settings = (
                            b"maxmemory-policy",
                            b"noeviction",
                            b"appendonly",
                            b"yes",
                            b"appendfsync",
                            b"always",
                        )
                        writer.write(b"*6\r\n" + b"".join(map(_bulk, settings)))
                    case [b"SET", key, text, *_]:
                        kept[key] = text
                        writer.write(b"+OK\r\n")
                    case [b"GET", key]:
                        writer.write(_bulk(kept.get(key)))
                    case [b"HGETALL", key] if key.endswith(b":configured"):
                        writer.write(b"*0\r\n")
                    case [b"CLIENT" | b"SELECT", *_]:
                        writer.write(b"+OK\r\n")
                    case _:
                        writer.write(nonsense)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.close()
