"""Looks through what the suite's relays wrote, and keeps what it found until the test that is running is told.

A process of pytest has one watch. Harnesses hand it what they end with: a folder of logs, an output, an answer,
a Redis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tests.canaries.search import Place, leaks_in

_LARGEST_PIECE = 8 * 2**20
_OVERLAP = 256

_WHOLE: dict[bytes, Callable[[Any, bytes], object]] = {
    b"string": lambda redis, key: redis.get(key),
    b"hash": lambda redis, key: redis.hgetall(key),
    b"zset": lambda redis, key: redis.zrange(key, 0, -1),
    b"set": lambda redis, key: redis.smembers(key),
    b"list": lambda redis, key: redis.lrange(key, 0, -1),
    b"stream": lambda redis, key: redis.xrange(key),
}


class Watch:
    """What was looked through, in bytes by place, and what was found there."""

    def __init__(self) -> None:
        self.looked_at: Counter[Place] = Counter()
        self._found: list[str] = []

    def look(self, data: bytes | str, place: Place, where: str) -> None:
        """Keeps every leak in the data. `where` is told with it."""
        raw = data.encode(errors="replace") if isinstance(data, str) else data
        self.looked_at[place] += len(raw)
        self._found += [f"{where}: {leak}" for leak in leaks_in(raw, place)]

    def look_in(self, folder: Path) -> None:
        """Every log in the folder, and what a Redis wrote there."""
        for file in sorted(folder.rglob("*")):
            if file.is_file() and ".log" in file.name:
                self._look_at(file, Place.LOG)
            elif file.is_file() and file.parent.name == "appendonlydir":
                self._look_at(file, Place.REDIS)

    def look_at_redis(self, socket: Path) -> None:
        """Every key of the server, name and value; nothing where it does not answer."""
        redis = Redis(unix_socket_path=str(socket), socket_timeout=5)
        try:
            for key, value in _all_of(redis):
                self.look(key + b"\n" + _flat(value), Place.REDIS, f"redis key {_shape_of(key)}")
        except (RedisError, OSError):
            return  # what it wrote to its file is looked at anyway
        finally:
            redis.close()

    def taken(self) -> list[str]:
        """What was found since this was last asked."""
        found, self._found = self._found, []
        return found

    def _look_at(self, file: Path, place: Place) -> None:
        with file.open("rb") as opened:
            last = b""
            while piece := opened.read(_LARGEST_PIECE):
                self.look(last + piece, place, file.name)
                last = piece[-_OVERLAP:]


def _all_of(redis: Any) -> Iterator[tuple[bytes, object]]:
    for key in redis.scan_iter(count=1000):
        read = _WHOLE.get(redis.type(key))
        if read is not None:
            yield key, read(redis, key)


def _flat(value: object) -> bytes:
    match value:
        case bytes():
            return value
        case dict():
            return b"\n".join(_flat(part) for pair in value.items() for part in pair)
        case list() | tuple() | set():
            return b"\n".join(_flat(part) for part in value)
        case _:
            return str(value).encode()


def _shape_of(key: bytes) -> str:
    """What kind of key it is; the rest of its name may be what leaked."""
    return ":".join(key.decode(errors="replace").split(":")[:3])


WATCH = Watch()
