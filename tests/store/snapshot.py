"""All that the relay keeps in Redis, read at one instant by one script that writes nothing.

For tests and for a look at a relay that stands still: Redis serves nobody else while it reads. Knows no rules; what
must be true of what is read is in `tidy.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from app.store.connection import Client
from app.store.database import PREFIX

_READ_ALL = """
local read = {
  hash = function(key) return redis.call('HGETALL', key) end,
  zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
  set = function(key) return redis.call('SMEMBERS', key) end,
  list = function(key) return redis.call('LRANGE', key, 0, -1) end,
  string = function(key) return { redis.call('GET', key) } end,
  stream = function(key)
    local flat = {}
    for _, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do
      flat[#flat + 1], flat[#flat + 2] = entry[1], entry[2][2]
    end
    return flat
  end,
}
local now, answer = redis.call('TIME'), {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local kind = redis.call('TYPE', key)['ok']
  answer[#answer + 1] = { key, kind, redis.call('PTTL', key), read[kind](key) }
end
return { now[1], now[2], answer }
"""

NO_END = -1
"""What `ends_in_ms` says of a key that lives until it is deleted."""

_ABOUT_TO_END_MS = 5_000

Fields = dict[str, str]


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its type in Redis' words, its life, and its value as a flat list of texts."""

    kind: str
    ends_in_ms: int
    flat: tuple[str, ...]

    @property
    def pairs(self) -> Fields:
        """A hash's fields, a sorted set's members with their scores, or a stream's ids with their values."""
        return dict(zip(self.flat[::2], self.flat[1::2], strict=True))


class Snapshot:
    """The keys under the prefix, by their name without it."""

    def __init__(self, now_ms: int, keys: dict[str, Key]) -> None:
        self.now_ms = now_ms
        self.keys = keys

    @cached_property
    def by_kind(self) -> dict[str, dict[str, Key]]:
        """The keys by the first part of their name, and then by the rest."""
        found: dict[str, dict[str, Key]] = {}
        for name, key in self.keys.items():
            kind, _, rest = name.partition(":")
            found.setdefault(kind, {})[rest] = key
        return found

    def of(self, kind: str) -> dict[str, Key]:
        """The keys of that kind, by the rest of their name."""
        return self.by_kind.get(kind, {})

    def pairs(self, kind: str) -> dict[str, Fields]:
        """The pairs of each key of that kind."""
        return {rest: key.pairs for rest, key in self.of(kind).items()}

    def members(self, kind: str) -> dict[str, tuple[str, ...]]:
        """The members of each set of that kind."""
        return {rest: key.flat for rest, key in self.of(kind).items()}

    @cached_property
    def messages(self) -> dict[str, Fields]:
        """The records by id."""
        return self.pairs("m")

    @cached_property
    def batches(self) -> dict[str, Fields]:
        """The records by id."""
        return self.pairs("b")

    @cached_property
    def events(self) -> dict[str, Fields]:
        """The records by id."""
        return self.pairs("e")

    def changes_to(self, later: Snapshot) -> list[str]:
        """Each key that was written between the two readings, in words; lives do not count."""
        gone = self.keys.keys() - later.keys.keys()
        written = {name for name in gone if not 0 <= self.keys[name].ends_in_ms < _ABOUT_TO_END_MS}
        written |= later.keys.keys() - self.keys.keys()
        both = self.keys.keys() & later.keys.keys()
        written |= {name for name in both if sorted(self.keys[name].flat) != sorted(later.keys[name].flat)}
        return [f"{name} was written" for name in sorted(written)]


async def take_snapshot(client: Client, *, prefix: str = PREFIX) -> Snapshot:
    """What Redis holds now."""
    execute = cast("Callable[..., Awaitable[Sequence[object]]]", client.execute_command)
    seconds, micros, rows = await execute("EVAL_RO", _READ_ALL, 0, prefix)
    return Snapshot(
        int(_text(seconds)) * 1000 + int(_text(micros)) // 1000,
        {
            _text(name).removeprefix(prefix): Key(_text(kind), ttl, tuple(_text(one) for one in flat))
            for name, kind, ttl, flat in cast("list[tuple[bytes, bytes, int, list[bytes]]]", rows)
        },
    )


def _text(raw: object) -> str:
    return cast("bytes", raw).decode(errors="replace")
