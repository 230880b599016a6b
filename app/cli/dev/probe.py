"""Asking a part from outside whether it is ready: one small HTTP request, or one PING. Raises OSError for not yet."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

_ANSWER_WITHIN_S = 1.0
_MOST_READ = 4096


async def answers_ok(url: str) -> bool:
    """Whether a GET of the URL, on this machine, is answered with 200."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    request = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    async with asyncio.timeout(_ANSWER_WITHIN_S):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            head = await _first_bytes(reader, writer, request.encode())
        finally:
            writer.close()
    return head.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))


async def redis_answers(socket: Path) -> bool:
    """Whether the server behind the socket answers PING; not while it still loads its file."""
    async with asyncio.timeout(_ANSWER_WITHIN_S):
        reader, writer = await asyncio.open_unix_connection(str(socket))
        try:
            head = await _first_bytes(reader, writer, b"PING\r\n")
        finally:
            writer.close()
    return head.startswith(b"+PONG")


async def _first_bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    writer.write(request)
    return await reader.read(_MOST_READ)
