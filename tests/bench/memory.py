"""What a message takes of Redis' memory, queued and finished, and what takes it.

    python -m tests.bench.memory --messages 20000

Messages go through the store's own scripts: accepted, imported, answered, and their events delivered. The figures are
differences of `used_memory`; the table sums MEMORY USAGE by kind of key, and `table` is what Redis takes besides for
knowing the keys.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from dataclasses import dataclass

from app.store.database import PREFIX
from tests.bench.figures import Figure, ask, report, say
from tests.bench.filling import accept_many, answer_many
from tests.servers import valkey_server
from tests.store.desk import Desk, open_desk

SHORT_LIVED = ("calls", "number_rate")
"""Kinds that end within an hour of the call, long before the message does: the index that its rows are matched by,
and the number's limit."""
_WARM = 200


@dataclass(frozen=True, slots=True)
class Memory:
    """What Redis holds: bytes of all of it, and by kind of key how many keys and bytes."""

    used: int
    keys: Counter[str]
    sizes: Counter[str]

    def since(self, before: Memory) -> Memory:
        """What came since."""
        keys, sizes = Counter(self.keys), Counter(self.sizes)
        keys.subtract(before.keys)
        sizes.subtract(before.sizes)
        return Memory(self.used - before.used, keys, sizes)


async def measured(desk: Desk) -> Memory:
    """Reads the size of every key."""
    used = await _used(desk)
    keys: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    cursor = b"0"
    while True:
        cursor, names = await desk.db.read("SCAN", cursor, "COUNT", 2000)
        each = await desk.db.read_many([("MEMORY", "USAGE", name, "SAMPLES", "0") for name in names])
        for name, size in zip(names, each, strict=True):
            kind = name.decode().removeprefix(PREFIX).partition(":")[0]
            keys[kind] += 1
            sizes[kind] += size or 0
        if cursor == b"0":
            return Memory(used, keys, sizes)


async def _used(desk: Desk) -> int:
    info: bytes = await desk.db.read("INFO", "memory")
    return int(info.partition(b"used_memory:")[2].split()[0])


async def _end_short_lived(desk: Desk) -> None:
    """As an hour would."""
    for kind in SHORT_LIVED:
        names = await desk.names(kind)
        for at in range(0, len(names), 1000):
            await desk.db.read("DEL", *names[at : at + 1000])


def _show(title: str, found: Memory, messages: int) -> float:
    say(f"{title}: {found.used / messages:.0f} bytes a message")
    rows = sorted(found.sizes.items(), key=lambda row: -row[1])
    for kind, size in rows:
        if abs(size) >= messages / 2:
            say(f"    {kind:<14}{found.keys[kind] / messages:6.2f} keys{size / messages:8.0f} bytes")
    say(f"    {'table':<20}{(found.used - found.sizes.total()) / messages:13.0f} bytes")
    return found.used / messages


async def _measure(url: str, messages: int) -> tuple[float, float]:
    async with open_desk(url) as desk:
        await accept_many(desk, 0, _WARM)
        await answer_many(desk, _WARM)
        empty = await measured(desk)
        await accept_many(desk, _WARM, messages)
        queued = (await measured(desk)).since(empty)
        bytes_queued = _show("queued", queued, messages)
        await answer_many(desk, messages)
        _show("finished just now", (await measured(desk)).since(empty), messages)
        await _end_short_lived(desk)
        finished = (await measured(desk)).since(empty)
        return bytes_queued, _show("finished, an hour later", finished, messages)


def main() -> int:
    """Prints the tables; 1 where a message takes more than it may."""
    asks = ask(__doc__)
    asks.add_argument("--messages", type=int, default=20_000, help="to fill it with [default: 20000]")
    asked = asks.parse_args()
    with valkey_server("--appendfsync", "no") as server:
        queued, finished = asyncio.run(_measure(server.url, asked.messages))
    figures = [
        Figure("memory", "Redis a message, queued", queued, "B", most=1300),
        Figure("memory", "Redis a message, finished", finished, "B", most=1000),
    ]
    return report(figures, as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
