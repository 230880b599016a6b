"""What operators do: campaigns paused, drained and resumed, deliveries sent again; and the log of all that.

Each action and its record are one script. Owns no message. The log is bounded in length and in time, both in
`scripts/prelude_actions.lua`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from app.message import rfc3339
from app.store.events import stream_id
from app.store.records import Record

if TYPE_CHECKING:
    from app.message import CallbackState
    from app.store.database import Database

Verb = Literal["pause", "drain", "resume"]


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something, and why."""

    by: str | None
    """The operator's own word."""
    key: str
    """The first characters of the admin key's digest: which key it was, whatever `by` says."""
    why: str | None


@dataclass(frozen=True, slots=True)
class Redrive:
    """Which deliveries are sent again. `client` or `destination` None: of all."""

    since_ms: int
    state: CallbackState
    client: str | None
    destination: str | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A line of the log. Times in ms since the epoch, by Redis' clock."""

    cursor: str
    at_ms: int
    action: str
    campaign: str | None
    event_id: str | None
    detail: str | None
    act: Act


class Actions:
    """The store's face to operators' actions. `OutcomeUnknownError`: it may have been done; say it again."""

    def __init__(self, database: Database, *, keep_ms: int) -> None:
        self._db = database
        self._keep_ms = keep_ms

    async def on_campaign(self, verb: Verb, campaign: str, act: Act) -> bool:
        """Does it, durably. False: it was so already, and nothing was written."""
        reply: bytes = await self._db.commit(verb, campaign, act.by or "", act.key, act.why or "")
        return reply == b"done"

    async def replay(self, event_id: str, act: Act) -> str:
        """`queued` (also if it waits already; then nothing is recorded), `unknown`, or `no callback`."""
        reply: bytes = await self._db.commit(
            "replay_event", event_id, "", self._keep_ms, act.key, act.by or "", act.why or ""
        )
        return reply.decode()

    async def record_redrive(self, which: Redrive, act: Act) -> None:
        """Writes down that many deliveries are to be sent again, before the first is."""
        said = {"since": rfc3339(which.since_ms), "state": which.state.value}
        said |= {"client": which.client or "*", "destination": which.destination or "*"}
        detail = " ".join(f"{name}={value}" for name, value in said.items())
        await self._db.commit(
            "record_action", "replay_callbacks", "", act.by or "", act.key, act.why or "", detail
        )

    async def page(self, *, limit: int, cursor: str | None) -> tuple[list[Recorded], str | None]:
        """The log, newest first, and the cursor to go on from. ValueError if it is not one of ours."""
        end = "+" if cursor is None else f"({stream_id(cursor)}"
        rows = await self._db.read("XREVRANGE", self._db.key("actions"), end, "-", "COUNT", limit + 1)
        found = [_recorded(at.decode(), Record.of_flat(fields)) for at, fields in rows[:limit]]
        return found, found[-1].cursor if len(rows) > limit else None


def _recorded(cursor: str, fields: Record) -> Recorded:
    return Recorded(
        cursor=cursor,
        at_ms=fields.number("at") or 0,
        action=fields.text("a") or "",
        campaign=fields.text("c"),
        event_id=fields.text("e"),
        detail=fields.text("d"),
        act=Act(by=fields.text("by"), key=fields.text("k") or "", why=fields.text("w")),
    )
