"""The magic numbers: what becomes of a call, by the last four digits of the number called.

One table, from which the sandbox's page and the tests are made. `means` is the state and reason that the outcome has
in the public contract. Numbers with any other ending are answered, and `1` is pressed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ANSWERED = 40
ERROR = 50


class Effect(StrEnum):
    """What the ending does beside, or instead of, a call that comes to its end."""

    CALL = "call"
    SKIP = "skip"
    """Left out of the import without a word."""
    POISON = "poison"
    """The whole import that holds it is refused with 400."""
    UNLISTED = "unlisted"
    """Taken, counted and called, but missing from the import's `results`."""
    RINGS_FOR_EVER = "rings_for_ever"
    NO_ROW = "no_row"
    """Taken, yet no export ever shows it."""
    UNDATED = "undated"
    """Its rows carry no `called_at`."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How one call ended, in the words of an export's row. `duration_s`: how long the person listened."""

    state: int
    note: str
    key_press: str = ""
    duration_s: int = 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`verdicts` has one entry for each call made: two stand for a redial. `slowness` multiplies the call's time."""

    ending: str
    title: str
    means: str
    verdicts: tuple[Verdict, ...] = ()
    effect: Effect = Effect.CALL
    slowness: float = 1


def _answered(note: str = "NORMAL CLEARING", key_press: str = "1 (29)", duration_s: int = 8) -> Verdict:
    return Verdict(state=ANSWERED, note=note, key_press=key_press, duration_s=duration_s)


def _failed(note: str) -> Verdict:
    return Verdict(state=ERROR, note=note)


def _failing(ending: str, title: str, reason: str, note: str) -> Outcome:
    return Outcome(ending=ending, title=title, means=f"failed: {reason}", verdicts=(_failed(note),))


ORDINARY = Outcome(
    ending="any other", title="Answered, 1 is pressed", means="answered", verdicts=(_answered(),)
)

MAGIC = (
    _failing("0001", "Busy", "busy", "USER BUSY"),
    _failing("0002", "No answer", "no_answer", "NO ANSWER"),
    _failing("0003", "No answer, with an underscore", "no_answer", "NO_ANSWER"),
    _failing("0004", "No answer, the phone never rang", "no_answer", "NO USER RESPONSE"),
    _failing("0005", "Declined", "declined", "CALL REJECTED"),
    _failing("0006", "Declined, with an underscore", "declined", "CALL_REJECTED"),
    _failing("0007", "Unreachable: switched off", "unreachable", "SUBSCRIBER ABSENT"),
    _failing("0008", "Unreachable: out of order", "unreachable", "DESTINATION OUT OF ORDER"),
    _failing("0009", "Invalid number: unallocated", "invalid_number", "UNALLOCATED NUMBER"),
    _failing("0010", "Invalid number: its format", "invalid_number", "INVALID NUMBER FORMAT"),
    _failing("0011", "Network out of order", "network_error", "NETWORK OUT OF ORDER"),
    _failing("0012", "Temporary failure", "network_error", "NORMAL TEMPORARY FAILURE"),
    _failing("0013", "Busy, as a Q.850 number", "busy", "17"),
    _failing("0014", "No answer, as a Q.850 number", "no_answer", "19"),
    _failing("0015", "Declined, as a Q.850 number", "declined", "21"),
    _failing("0016", "Invalid number, as a Q.850 number", "invalid_number", "1"),
    _failing("0017", "Busy, in lower case", "busy", "user busy"),
    _failing("0018", "No answer, mixed case, underscore", "no_answer", "No_Answer"),
    _failing("0019", "A cause nobody knows", "other", "LỖI KHÔNG XÁC ĐỊNH"),
    _failing("0020", "No cause at all", "other", ""),
    Outcome(
        ending="0021",
        title="Answered, no key pressed",
        means="answered",
        verdicts=(_answered(key_press="", duration_s=3),),
    ),
    Outcome(
        ending="0022",
        title="Answered, several keys pressed",
        means="answered",
        verdicts=(_answered(key_press="1 (12), 2 (15), 9 (29)", duration_s=14),),
    ),
    Outcome(
        ending="0023",
        title="Answered, cause in lower case, underscore",
        means="answered",
        verdicts=(_answered(note="normal_clearing"),),
    ),
    Outcome(
        ending="0024",
        title="Answered, rows carry no called_at",
        means="answered",
        verdicts=(_answered(),),
        effect=Effect.UNDATED,
    ),
    Outcome(
        ending="0031",
        title="Redialled: busy, then answered under a new call_id",
        means="failed: busy; answered within redial_window",
        verdicts=(_failed("USER BUSY"), _answered()),
    ),
    Outcome(
        ending="0032",
        title="Redialled: no answer twice",
        means="failed: no_answer",
        verdicts=(_failed("NO ANSWER"), _failed("NO ANSWER")),
    ),
    Outcome(
        ending="0033",
        title="Slow call: ten times as long",
        means="answered",
        verdicts=(_answered(duration_s=45),),
        slowness=10,
    ),
    Outcome(
        ending="0041",
        title="Never an outcome: rings for ever",
        means="undetermined: no_outcome",
        effect=Effect.RINGS_FOR_EVER,
    ),
    Outcome(
        ending="0042",
        title="Never an outcome: no row in any export",
        means="undetermined: no_outcome",
        effect=Effect.NO_ROW,
    ),
    Outcome(
        ending="0043",
        title="Refused in silence: skipped by the import",
        means="rejected: not_accepted",
        effect=Effect.SKIP,
    ),
    Outcome(
        ending="0044",
        title="Poisoned batch: the whole import gets 400",
        means="rejected: invalid_contact",
        effect=Effect.POISON,
    ),
    Outcome(
        ending="0045",
        title="Taken and counted, but missing from results",
        means="answered",
        verdicts=(_answered(),),
        effect=Effect.UNLISTED,
    ),
)

_BY_ENDING = {outcome.ending: outcome for outcome in MAGIC}


def outcome_of(number: str) -> Outcome:
    """The outcome of a call to `number`, in any spelling that ends in its last four digits."""
    return _BY_ENDING.get(number[-4:], ORDINARY)
