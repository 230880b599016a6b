"""One call: what was placed, and what an export shows of it at a given moment.

A call is never advanced by a timer. Its rows at the time t are a pure function of when it was placed, when a line
was free for it, and its number's outcome; so a hundred thousand calls cost nothing while nobody asks.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from app.sandbox.outcomes import Effect, Outcome, Verdict, outcome_of

UNSEEN = 0
QUEUED = 10
RINGING = 20

QUEUED_SHARE = 0.2
"""How much of a call's time passes before the phone rings."""


class Call(msgspec.Struct, kw_only=True, tag="call"):
    """A contact that a campaign took. `number` is national; times are true ones, in ms since the epoch.

    `starts_at_ms` is None while the call waits for its campaign to run. `otp_code` is None for a notification, and
    after a restart: the state file holds no codes.
    """

    call_id: int
    redial_id: int | None
    campaign_id: str
    number: str
    variables: dict[str, str]
    otp_code: str | None
    otp_ok: bool
    placed_at_ms: int
    starts_at_ms: int | None
    call_time_ms: int
    foreign: bool = False
    """Placed by somebody else, on the provider's website."""

    @property
    def outcome(self) -> Outcome:
        return outcome_of(self.number)


@dataclass(frozen=True, slots=True)
class Leg:
    """One ring of the phone. `ends_at_ms` is None where it never ends."""

    call_id: int
    starts_at_ms: int
    ends_at_ms: int | None
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Row:
    """What an export shows of one leg. `called_at_ms` is None before the call is made."""

    call: Call
    call_id: int
    state: int
    called_at_ms: int | None
    ended_at_ms: int | None
    verdict: Verdict | None


def queue_time_ms(call: Call) -> int:
    """How long the call stands queued where a line is free at once."""
    return int(call.call_time_ms * QUEUED_SHARE)


def ring_time_ms(call: Call) -> int:
    """How long one leg of the call takes."""
    return int(call.call_time_ms * (1 - QUEUED_SHARE) * call.outcome.slowness)


def legs(call: Call) -> tuple[Leg, ...]:
    """The whole course of a call that has its start; empty for one that waits."""
    if call.starts_at_ms is None:
        return ()
    outcome, length_ms = call.outcome, ring_time_ms(call)
    if not outcome.verdicts:
        return (Leg(call.call_id, call.starts_at_ms, None, None),)
    first_end_ms = call.starts_at_ms + length_ms
    first = Leg(call.call_id, call.starts_at_ms, first_end_ms, outcome.verdicts[0])
    if len(outcome.verdicts) == 1 or call.redial_id is None:
        return (first,)
    redial_ms = first_end_ms + queue_time_ms(call)
    return (first, Leg(call.redial_id, redial_ms, redial_ms + length_ms, outcome.verdicts[1]))


def line_free_at_ms(call: Call) -> int:
    """When the call gives its line back; a call without an end gives it back after one ring's time."""
    last = legs(call)[-1]
    return last.ends_at_ms if last.ends_at_ms is not None else last.starts_at_ms + ring_time_ms(call)


def rows(call: Call, now_ms: int) -> list[Row]:
    """What there is to be seen of the call at `now_ms`: queued, ringing, ended, and its redial once begun."""
    if call.outcome.effect is Effect.NO_ROW:
        return []
    begun = [leg for leg in legs(call) if leg.starts_at_ms <= now_ms]
    if not begun:
        return [Row(call, call.call_id, QUEUED, None, None, None)]
    return [_row(call, leg, now_ms) for leg in begun]


def shown_rows(call: Call, now_ms: int) -> list[Row]:
    """As `rows`, with one of state `UNSEEN` for a call that no export ever shows."""
    return rows(call, now_ms) or [Row(call, call.call_id, UNSEEN, None, None, None)]


def _row(call: Call, leg: Leg, now_ms: int) -> Row:
    if leg.verdict is None or leg.ends_at_ms is None or leg.ends_at_ms > now_ms:
        return Row(call, leg.call_id, RINGING, leg.starts_at_ms, None, None)
    return Row(call, leg.call_id, leg.verdict.state, leg.starts_at_ms, leg.ends_at_ms, leg.verdict)
