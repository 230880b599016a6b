"""A rate limit in exact fractions: what the script, which has none, is held to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from itertools import combinations_with_replacement

from app.config import Rate

MS = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Taken:
    """One more was let through: so many are left, and one more comes in so many ms."""

    remaining: int
    more_in_ms: int


@dataclass(frozen=True)
class Refused:
    """The next is let through in so many ms, and not one ms sooner."""

    retry_after_ms: int


class Reference:
    """`burst` at once, then `burst` evenly over each period."""

    def __init__(self, rate: Rate, *, free_at_ms: Fraction) -> None:
        self._burst, self._period = rate.burst, Fraction(rate.period // MS)
        self._free_at = free_at_ms
        """When all of it is free again."""

    def ask(self, now_ms: int) -> Taken | Refused:
        each = self._period / self._burst
        free_at = max(self._free_at, Fraction(now_ms)) + each
        room = now_ms + self._period - free_at
        if room < 0:
            return Refused(math.ceil(-room))
        self._free_at = free_at
        return Taken(math.floor(room / each), math.ceil(each - room % each))


def assert_no_window_has_more(rate: Rate, taken_ms: Sequence[int]) -> None:
    """In any stretch of time: what may come at once, and an even share of the period for what the stretch lasted.

    So never more than twice `burst` within one period, however it is laid; a counter by windows lets twice `burst`
    through in no time at all.
    """
    period_ms = rate.period // MS
    for first, last in combinations_with_replacement(range(len(taken_ms)), 2):
        lasted_ms = taken_ms[last] - taken_ms[first]
        assert last - first + 1 <= rate.burst + Fraction(rate.burst * lasted_ms, period_ms)
