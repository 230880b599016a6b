"""Which encryption keys what is stored still needs, so that an old one can be dropped without losing anything.

Reads only, page by page (SCAN), so that Redis serves others meanwhile; opens nothing, for a sealed value names its
key.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.sealing import key_id_of
from app.store.database import PREFIX
from app.store.opening import INDEX_SECRET

if TYPE_CHECKING:
    from app.store.database import Database

_PAGE = 1000
_SEALED_FIELDS = {"m": ("b", "c", "k"), "token": ("t",), "idem": ("a",)}
"""By kind of key, the fields of its hash that hold sealed values."""
_COUNTED_AS = {"m": "records", "token": "tokens", "idem": "answers"}
_ALL_KINDS = f"{PREFIX}[mti]*"
"""Their first letters; what else begins with one of them is passed over here."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found. Not `whole`: the time was over first, and every count is a least one."""

    needed_by: dict[str, Counter[str]]
    """By the key's id: how many `records`, `tokens`, `answers` and `indexes` were sealed with it."""
    looked_at: int
    of: int
    """About how many keys of Redis there are."""
    whole: bool


async def survey_keys(
    database: Database, *, within_s: float, seen: Callable[[int, int], None] = lambda _at, _of: None
) -> Survey:
    """Looks through all of Redis for `within_s` at most; `seen` is told of each page: keys looked at, keys there are.

    `StoreUnavailableError` if Redis is away.
    """
    found: dict[str, Counter[str]] = {}
    await _count_index_secret(database, found)
    give_up, cursor, looked_at = time.monotonic() + within_s, b"0", 0
    size = await database.read("DBSIZE")
    while True:
        cursor, names = await database.read("SCAN", cursor, "MATCH", _ALL_KINDS, "COUNT", _PAGE)
        await _count_page(database, names, found)
        whole = cursor == b"0"
        looked_at = size if whole else min(looked_at + _PAGE, size)
        seen(looked_at, size)
        if whole or time.monotonic() > give_up:
            return Survey(found, looked_at, size, whole)


async def _count_index_secret(database: Database, found: dict[str, Counter[str]]) -> None:
    sealed = await database.read("GET", INDEX_SECRET)
    if sealed is not None:
        found.setdefault(key_id_of(sealed), Counter())["indexes"] += 1


async def _count_page(database: Database, names: Sequence[bytes], found: dict[str, Counter[str]]) -> None:
    kinds = [name[len(PREFIX) :].partition(b":")[0].decode(errors="replace") for name in names]
    asked = [(name, kind) for name, kind in zip(names, kinds, strict=True) if kind in _SEALED_FIELDS]
    values = await database.read_many([("HMGET", name, *_SEALED_FIELDS[kind]) for name, kind in asked])
    for (_, kind), sealed in zip(asked, values, strict=True):
        for key_id in {key_id_of(value) for value in sealed if value}:
            found.setdefault(key_id, Counter())[_COUNTED_AS[kind]] += 1
