"""Pages of a sorted set of ids, newest first. A cursor names a row, so that a page begins after it whatever has
come or gone meanwhile.

Owns the form of such cursors; knows nothing of what the ids stand for.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.store.database import Database

Row = tuple[int, str]
"""Its moment in ms since the epoch, and its id."""

_CURSOR = re.compile(r"([0-9]{1,15})-([a-z]{1,8}_[0-9a-z]{1,64})")


async def newest_first(
    database: Database, index: str, *, limit: int, cursor: str | None
) -> tuple[list[str], str | None]:
    """At most `limit` ids after the cursor, and the cursor to go on from. ValueError if it is not one of ours."""
    return page_of([await rows_after(database, index, limit=limit, after=row_of(cursor))], limit)


def row_of(cursor: str | None) -> Row | None:
    """The row that a cursor names. ValueError if it is not one of ours."""
    if cursor is None:
        return None
    parts = _CURSOR.fullmatch(cursor)
    if parts is None:
        raise ValueError("not a cursor of a list")
    return int(parts[1]), parts[2]


def page_of(lists: Iterable[list[Row]], limit: int) -> tuple[list[str], str | None]:
    """One page of several lists, each newest first and one row longer than the page where there is more."""
    found = sorted((row for rows in lists for row in rows), reverse=True)
    chosen = found[:limit]
    more = len(found) > limit
    return [name for _, name in chosen], f"{chosen[-1][0]}-{chosen[-1][1]}" if more else None


async def rows_after(database: Database, index: str, *, limit: int, after: Row | None) -> list[Row]:
    """The newest rows of a sorted set after that one; one more than `limit` if there are so many."""
    newest = "+inf" if after is None else str(after[0])
    found: list[Row] = []
    for start in itertools.count(step=limit + 1):  # more than a page of rows may be of the cursor's moment
        flat = await database.read(
            "ZRANGE", index, newest, "-inf", "BYSCORE", "REV", "LIMIT", start, limit + 1, "WITHSCORES"
        )
        rows = [(int(float(at)), name.decode()) for name, at in zip(flat[::2], flat[1::2], strict=True)]
        found += [row for row in rows if after is None or row < after]
        if len(found) > limit or len(rows) <= limit:
            break
    return found[: limit + 1]
