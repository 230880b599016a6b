"""The second phase: every message against what the provider saw and what its caller was told. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.sandbox.outcomes import Effect, outcome_of
from tests.chaos.load import Sent
from tests.chaos.receiver import Told

_NOT_CALLED = ("rejected", "expired", "cancelled")


@dataclass(slots=True)
class Verdict:
    """Violations by kind, each in words; none is what we promise."""

    lost: list[str] = field(default_factory=list)
    called_twice: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    told_twice: list[str] = field(default_factory=list)
    untidy: list[str] = field(default_factory=list)
    suspects: list[str] = field(default_factory=list)
    """Ids of messages with a violation."""

    def count(self) -> int:
        """All of them."""
        return sum(len(kind) for kind in self._kinds().values())

    def _kinds(self) -> dict[str, list[str]]:
        return {
            "lost": self.lost,
            "called twice": self.called_twice,
            "wrong outcome": self.wrong,
            "double final event": self.told_twice,
            "untidy": self.untidy,
        }

    def lines(self) -> list[str]:
        """A line a kind, and the first few of each."""
        return [
            line
            for kind, found in self._kinds().items()
            for line in (f"{len(found):6} {kind}", *(f"         {one}" for one in found[:8]))
        ]


def judge(
    sent: Iterable[Sent], calls: Sequence[Mapping[str, Any]], told: Mapping[str, list[Told]]
) -> Verdict:
    """`calls` are the rows of the sandbox's own record, one for each leg of each call."""
    by_ref: dict[str, list[Mapping[str, Any]]] = {}
    for row in calls:
        if not row["foreign"]:
            by_ref.setdefault(row["variables"]["ref"], []).append(row)
    verdict = Verdict()
    for message in sent:
        before = verdict.count()
        _judge(verdict, message, by_ref.pop(message.ref, []), told.get(message.message_id or "", []))
        if message.message_id is not None and verdict.count() > before:
            verdict.suspects.append(message.message_id)
    verdict.called_twice += [f"{ref}: called, though nobody sent it" for ref in by_ref]
    return verdict


def _judge(verdict: Verdict, message: Sent, rows: list[Mapping[str, Any]], told: list[Told]) -> None:
    name = f"{message.ref} ({message.message_id}, …{message.ending})"
    if message.message_id is None:
        verdict.lost.append(f"{name}: never taken: {Counter(message.answers)}")
        return
    placed = sorted({row["placed_at_ms"] for row in rows})
    if len(placed) > 1:
        verdict.called_twice.append(f"{name}: placed {len(placed)} times, {placed[-1] - placed[0]} ms apart")
    if not told:
        verdict.lost.append(f"{name}: no final event")
        return
    states = [one.type.removeprefix("message.") for one in told]
    if len(told) > 1 and states[:-1] != ["undetermined"]:
        verdict.told_twice.append(f"{name}: {states}")
    wrong = _wrong(message, rows, told[-1].message)
    if wrong:
        verdict.wrong.append(f"{name}: {wrong}")


def _wrong(message: Sent, rows: list[Mapping[str, Any]], shown: Mapping[str, Any]) -> str | None:
    state, reason = shown["state"], shown["reason"]
    if not rows:
        # Whether a contact that the provider never calls was in an import that was taken without a word, nobody can
        # tell; and a campaign of notices gives up where no export tells.
        never = outcome_of(message.number).effect in (Effect.SKIP, Effect.POISON) and state == "undetermined"
        given_up = message.code is None and reason == "ambiguous_import"
        honest = state in _NOT_CALLED or never or given_up
        return None if honest else f"{state} ({reason}), but nobody was called"
    expected = "answered" if any(row["state"] == 40 for row in rows) else "failed"
    if state != expected:
        return f"{state} ({reason}), but the call was {expected}"
    means = outcome_of(message.number).means
    if state == "failed" and f"failed: {reason}" not in means:
        return f"failed: {reason}, but the call was {means}"
    return None
