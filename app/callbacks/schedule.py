"""When a callback that failed is tried again.

Owns the decision alone: the store keeps the time it gives. `Retry-After` can only make a wait longer than the
schedule's, and by itself never longer than an hour, so that no destination can pull attempts forward or park
them for days.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from random import Random
from typing import Final

LONGEST_RETRY_AFTER_S: Final = 3600.0
JITTER: Final = 0.2
"""A wait is the schedule's, and up to this share more: spread out, and never sooner than was said."""

_MOST_DIGITS: Final = 9


def next_attempt_ms(
    schedule: Sequence[timedelta],
    attempts: int,
    now_ms: int,
    retry_after_s: float | None,
    rng: Random,
) -> int | None:
    """When to try again after `attempts` (1 and more) tries, in milliseconds since the epoch; None: dead.

    With a schedule of n waits there are n + 1 tries. A `Retry-After` of up to an hour is kept to where it is
    longer than the schedule's wait; a longer one counts as an hour.
    """
    if attempts > len(schedule):
        return None
    wait_s = _spread(schedule[attempts - 1].total_seconds(), rng)
    if retry_after_s is not None:
        asked_s = min(retry_after_s, LONGEST_RETRY_AFTER_S)
        wait_s = max(wait_s, min(_spread(asked_s, rng), LONGEST_RETRY_AFTER_S))
    return now_ms + round(wait_s * 1000)


def parse_retry_after(value: str, now: datetime) -> float | None:
    """Seconds that a `Retry-After` header (RFC 9110, 10.2.3) asks for, 0 if its date has passed; None if unreadable."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value) if len(value) <= _MOST_DIGITS else LONGEST_RETRY_AFTER_S
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def _spread(wait_s: float, rng: Random) -> float:
    return wait_s * (1 + JITTER * rng.random())
