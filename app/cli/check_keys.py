"""What `check` tells of the encryption keys: which of them what is stored still needs, and which can be taken out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.cli.finding import Finding
from app.store.key_survey import survey_keys

if TYPE_CHECKING:
    from app.store.database import Database
    from app.store.key_survey import Survey

_KINDS = ("records", "tokens", "answers")


async def keys_in_use(database: Database, within_s: float, seen: Callable[[int, int], None]) -> list[Finding]:
    """Each configured key, and each that is needed and missing. `StoreUnavailableError` if Redis is away."""
    survey = await survey_keys(database, within_s=within_s, seen=seen)
    known = database.keyring.key_ids
    named = [
        Finding("key", f"encryption_keys[{n}] {key_id}", True, note=_note(survey, key_id, first=n == 0))
        for n, key_id in enumerate(known)
    ]
    missing = [
        Finding("key", key_id, False, f"needed by {_uses(needs)}: add it to [storage] encryption_keys")
        for key_id, needs in sorted(survey.needed_by.items())
        if key_id not in known
    ]
    return [*named, *missing]


def _note(survey: Survey, key_id: str, *, first: bool) -> str:
    needs = survey.needed_by.get(key_id, Counter())
    if first:
        return f"seals; needed by {_uses(needs)}{_so_far(survey)}"
    if needs:
        return f"still needed by {_uses(needs)}{_so_far(survey)}"
    return "needed by nothing: it can be taken out" if survey.whole else f"no use found{_so_far(survey)}"


def _uses(needs: Counter[str]) -> str:
    counts = ", ".join(f"{needs[kind]} {kind}" for kind in _KINDS)
    return f"{counts} and the indexes" if needs["indexes"] else counts


def _so_far(survey: Survey) -> str:
    if survey.whole:
        return ""
    return f" (at least: {survey.looked_at} of {survey.of} keys of Redis looked at, see --scan-seconds)"
