"""What one part says: all of it into a file of bounded size, its last lines in memory, what matters to the terminal."""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

_CHUNK = 65_536
_LONGEST_LINE = 16_384
_LARGEST_FILE = 8 * 1024 * 1024
_LINES_KEPT = 8
_SHOWN_LEVELS = frozenset({"warning", "error", "critical"})
_FRAME = frozenset({"event", "level", "timestamp", "logger", "exception", "stack_info"})

Show = Callable[[str], None]


class PartLog:
    """The log of one part. Starts an empty file; past its bound the older half is kept in `<file>.1` alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: deque[str] = deque(maxlen=_LINES_KEPT)
        self._open()

    @property
    def last_lines(self) -> list[str]:
        """The last lines it said, as a person reads them."""
        return list(self._last)

    async def take(self, stream: asyncio.StreamReader, show: Show) -> None:
        """Takes all that comes, until the end of the stream; hands each line on to `show`."""
        rest = b""
        while chunk := await stream.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._take_line(line, show)
            if len(rest) > _LONGEST_LINE:
                self._take_line(rest, show)
                rest = b""
        if rest:
            self._take_line(rest, show)

    def close(self) -> None:
        self._file.close()

    def _take_line(self, raw: bytes, show: Show) -> None:
        line = raw[:_LONGEST_LINE].decode(errors="replace").rstrip("\r")
        if not line:
            return
        self._file.write(line.encode() + b"\n")
        self._size += len(line) + 1
        if self._size > _LARGEST_FILE:
            self._file.close()
            self._path.replace(self._path.with_suffix(".log.1"))
            self._open()
        self._last.append(readable(line))
        show(line)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._file = open(os.open(self._path, flags, 0o600), "wb", buffering=0)  # noqa: SIM115 - closed by close
        self._size = 0


def readable(line: str) -> str:
    """A line of a log as a person reads it: JSON of structlog as `warning: campaign held campaign=login-otp`."""
    event = _event(line)
    if event is None:
        return line
    fields = [f"{name}={_written(value)}" for name, value in event.items() if name not in _FRAME]
    words = [f"{event.get('level', 'info')}:", str(event["event"]), *fields, *_exception(event)]
    return " ".join(words)


def is_for_the_terminal(line: str) -> bool:
    """Whether a part's line on standard error is a warning, or worse, or no line of the log at all."""
    event = _event(line)
    return event is None or event.get("level") in _SHOWN_LEVELS


def _event(line: str) -> dict[str, object] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _written(value: object) -> str:
    return value if isinstance(value, str) and " " not in value else json.dumps(value, ensure_ascii=False)


def _exception(event: dict[str, object]) -> list[str]:
    """The kind and text of the exception; where it happened is in the file."""
    match event.get("exception"):
        case [{"exc_type": kind, "exc_value": text}, *_]:
            return [f"({kind}: {text})"]
        case _:
            return []
