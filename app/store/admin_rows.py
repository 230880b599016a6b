"""Where operators' lists are read from: the indexes that clients' own lists use, of several clients at once.

No index is kept for operators alone, for accepting would bear its cost. A list that would have to be searched for long
is given up to where it was searched; the page then ends there, and its cursor leads on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.store.pages import Row, page_of, rows_after
from app.store.records import Record

if TYPE_CHECKING:
    from app.store.database import Database

_AT_ONCE = 500
SEARCHED_MOST = 2_000
"""Events of one client that one request looks at."""
_LAST = "z_z"
"""An id that comes after all of its moment."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Newest first. `down_to`: what is older was not looked at; None: there is no more, or more than a page."""

    rows: list[Row]
    down_to: Row | None = None


def page_of_all(lists: Iterable[Rows], limit: int) -> tuple[list[str], str | None]:
    """One page of all lists, and the cursor to go on from."""
    found = list(lists)
    down_to = max((one.down_to for one in found if one.down_to is not None), default=None)
    known = ([row for row in one.rows if down_to is None or row > down_to] for one in found)
    ids, more = page_of(known, limit)
    if more is None and down_to is not None:
        more = f"{down_to[0]}-{down_to[1]}"
    return ids, more


async def indexed(database: Database, index: str, *, limit: int, after: Row | None) -> Rows:
    """A sorted set by moment."""
    return Rows(await rows_after(database, index, limit=limit, after=after))


async def in_hand(database: Database, sources: Sequence[str], *, limit: int, after: Row | None) -> Rows:
    """Members of all batches under way or ambiguous. Ids begin with the moment of acceptance, so they are the order."""
    lists = [database.key("leases"), *(database.key("ambiguous", source) for source in sources)]
    held = await database.read_many([("ZRANGE", one, 0, -1) for one in lists])
    batches = {batch.decode() for batches in held for batch in batches}
    members = await database.read_many([("HGET", database.key("b", one), "ms") for one in batches])
    rows = sorted(((0, one) for ids in members if ids for one in ids.decode().split()), reverse=True)
    return Rows([row for row in rows if after is None or row < after][: limit + 1])


async def events(
    database: Database,
    client: str,
    is_wanted: Callable[[Record], bool],
    named: Callable[[str, Record], str],
    *,
    limit: int,
    after: Row | None,
) -> Rows:
    """A client's events that are wanted, by when each was made, under the name that `named` gives them."""
    found: list[Row] = []
    searched, first_ms = 0, None
    end = "+" if after is None else str(after[0])
    while len(found) <= limit:
        entries = await database.read(
            "XREVRANGE", database.key("events", client), end, "-", "COUNT", _AT_ONCE
        )
        ids = [fields[1].decode() for _, fields in entries]
        flats = await database.read_many([("HGETALL", database.key("e", one)) for one in ids])
        moments = [int(at.decode().partition("-")[0]) for at, _ in entries]
        for at_ms, event_id, flat in zip(moments, ids, flats, strict=True):
            event = Record.of_flat(flat)
            row = (at_ms, named(event_id, event))
            if event and is_wanted(event) and (after is None or row < after):
                found.append(row)
        if len(entries) < _AT_ONCE:
            return Rows(sorted(found, reverse=True)[: limit + 1])
        searched += len(entries)
        first_ms = moments[0] if first_ms is None else first_ms
        if searched >= SEARCHED_MOST and moments[-1] < first_ms:
            break
        end = f"({entries[-1][0].decode()}"
    return Rows(sorted(found, reverse=True), (moments[-1], _LAST))
