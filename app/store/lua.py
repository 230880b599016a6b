"""The Lua scripts, as files beside this one: each is a move, whole or not at all.

In front of each script stand the table of moves and the preludes. A script is addressed by its digest, so two
versions of it can live in one Redis.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.message import MOVES

_FOLDER = Path(__file__).parent / "scripts"

FREEING = frozenset(
    {
        "settle", "recover_leases", "expire", "cancel", "outcome", "reconcile", "time_out", "settle_event",
        "claim_events", "drop_token", "store_token", "lock_account", "mark_sending", "split", "lease", "replay_event",
        "take_duty", "drop_duty", "wake_again", "pause", "drain", "resume", "record_action", "count_hour", "remember",
        "set_aside", "reseal_token",
    }
)  # fmt: skip
"""What still runs when Redis is out of memory: all that ends messages, and what operators do. Accepting is refused
before it begins."""
_BEFORE_EACH = ("prelude", "prelude_hour", "prelude_actions")


@dataclass(frozen=True, slots=True)
class Script:
    """One script as Redis gets it."""

    name: str
    text: str
    digest: str


def _moves_table() -> str:
    rows = (
        f"{state} = {{ {', '.join(f'{to} = true' for to in sorted(targets))} }}"
        for state, targets in MOVES.items()
    )
    return "local MOVES = { " + ", ".join(rows) + " }\n"


@cache
def script(name: str) -> Script:
    """The script of that file name, less its ending."""
    flags = " flags=allow-oom" if name in FREEING else ""
    parts = (
        f"#!lua{flags}\n",
        _moves_table(),
        *((_FOLDER / f"{part}.lua").read_text() for part in _BEFORE_EACH),
        (_FOLDER / f"{name}.lua").read_text(),
    )
    text = "".join(parts)
    return Script(name, text, hashlib.sha1(text.encode()).hexdigest())  # noqa: S324  Redis addresses scripts so


def script_names() -> list[str]:
    """Every script there is."""
    return sorted(path.stem for path in _FOLDER.glob("*.lua") if path.stem not in _BEFORE_EACH)
