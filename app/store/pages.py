"""Pages of a sorted set of ids, newest first. A cursor names a row, so that a page begins after it whatever has
come or gone meanwhile.

Owns the form of such cursors; knows nothing of what the ids stand for.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.store.database import Database

_CURSOR = re.compile(r"([0-9]{1,15})-([a-z]{1,8}_[0-9a-z]{1,64})")


async def newest_first(
    database: Database, index: str, *, limit: int, cursor: str | None
) -> tuple[list[str], str | None]:
    """At most `limit` ids after the cursor, and the cursor to go on from. ValueError if it is not one of ours."""
    newest, after = "+inf", None
    if cursor is not None:
        parts = _CURSOR.fullmatch(cursor)
        if parts is None:
            raise ValueError("not a cursor of a list")
        newest, after = parts[1], (int(parts[1]), parts[2])
    found: list[tuple[int, str]] = []
    for start in itertools.count(step=limit + 1):  # more than a page of rows may be of the cursor's moment
        flat = await database.read(
            "ZRANGE", index, newest, "-inf", "BYSCORE", "REV", "LIMIT", start, limit + 1, "WITHSCORES"
        )
        rows = [(int(float(at)), name.decode()) for name, at in zip(flat[::2], flat[1::2], strict=True)]
        found += [row for row in rows if after is None or row < after]
        if len(found) > limit or len(rows) <= limit:
            break
    chosen = found[:limit]
    more = len(found) > limit
    return [name for _, name in chosen], f"{chosen[-1][0]}-{chosen[-1][1]}" if more else None
