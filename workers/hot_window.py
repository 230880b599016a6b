"""How far back calls are looked for again and again, and how often: learned from how long they take. Pure.

The hot window reaches from now back as far as nearly all of the last calls took, and the pause between two of its
reads is so long that a row is read a little more than twice. Where that can be paid for, it is read sooner: a lone call
is looked for at ages that nearly double, the first of them when one in four calls is over. What is older, a straggler,
is not its own: it makes the window no wider and the pause no longer.

All times are ms by Redis' clock.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.store.outcomes import Open

QUICKEST_MS = 700
SLOWEST_MS = 40_000
_READS, _READS_UNLEARNED = 2.2, 1.6
"""How often a row is read that stays in the window all the time; and as long as nothing was learned, if it is paid."""
_STRETCHES, _STRETCHES_BY = (0.7, 3.0), 1.15
_WIDTH_MS = (2_000, 60_000, 150_000)
"""The window's: least, as long as nothing was learned, and most."""
_SHRINKS_BY = 0.9
"""From read to read. It does not shrink soon after a start, for the first outcomes are those of the shortest calls."""
_LONGEST_SHARE = 0.04
"""Of the calls: what the window need not catch."""
_RINGING_SHARE = 0.045
"""The same, where it is seen how many ring at an age."""
_LEFT_OVER_MS, _TOOK_OVER_MS, _TOOK_OVER_PAUSE_MS = 5_000, 30_000, 9_000
"""Who takes over what is so old looks again soon for that long, whatever it costs: its calls have waited already."""
_FIRST_LOOK_MS = 1_500
_SOONER, _LATER = 0.75, 1.1
"""What a call does to the age at which a lone call is first looked for: about one in four is over by then."""
_FEW, _ENOUGH = 5, 20
_HALF_LIFE_MS = 600_000
_STEP = 1.15


class HotWindow:
    """One source's."""

    def __init__(self, *, may_take_over: bool = True) -> None:
        """`may_take_over`: what waits at the first read may have been another worker's."""
        self.width_ms = _WIDTH_MS[1]
        """How far it reaches back: nearly all calls have their outcome by then."""
        self.shows_ringing = False
        """Whether rows show calls before their end, each with when it was made."""
        self._lengths: dict[int, float] = {}
        self._first_look_ms = float(_FIRST_LOOK_MS)
        self._recent: deque[tuple[int, float, int]] = deque(maxlen=30)
        self._began_ms = 0
        self._last_ms: int | None = None
        self._settled = 0
        self._was_seen = False
        self._stretch = 1.0
        self._may_take_over = may_take_over
        self._took_over = False

    # When

    def from_ms(self, waiting: Open) -> int:
        """Where it begins: what was so young at the last read that it may not have been over by then is read again.

        Where rows show only ends, they are fewer, and all of the window's are read.
        """
        from_ms = waiting.now_ms - self.width_ms
        if self._last_ms is not None:
            young_ms = self._last_ms - round(self.width_ms * (_READS - 1) / _READS)
            from_ms = young_ms if self.shows_ringing else min(young_ms, from_ms)
        return from_ms if waiting.since_ms is None else max(waiting.since_ms, from_ms)

    def next_ms(self, waiting: Open, *, is_paid: bool) -> int | None:
        """When it is next read: never before a call of now can be over, then by its width. None: nothing waits.

        `is_paid`: it may be read sooner, by how old the calls are that wait.
        """
        now_ms, last_ms = waiting.now_ms, self._last_ms
        oldest_ms = waiting.oldest_sent_ms
        if oldest_ms is None:
            oldest_ms = waiting.newest_late_ms
            if oldest_ms is None or (last_ms is not None and now_ms - oldest_ms > self.width_ms):
                return None
        first_ms = oldest_ms + round(self._first_look_ms)
        if last_ms is None:
            return first_ms
        pause_ms = (self._paid_pause_ms(waiting) if is_paid else self.width_ms / _READS) * self._stretch
        if self.is_taking_over(now_ms):
            pause_ms = min(pause_ms, _TOOK_OVER_PAUSE_MS)
        return max(first_ms, last_ms + round(min(max(pause_ms, QUICKEST_MS), SLOWEST_MS)))

    def _paid_pause_ms(self, waiting: Open) -> float:
        width_ms = waiting.now_ms - self.from_ms(waiting)
        fresh_ms = width_ms if waiting.oldest_fresh_ms is None else waiting.now_ms - waiting.oldest_fresh_ms
        costs_ms = fresh_ms + self._share_filled(width_ms - fresh_ms)
        return costs_ms / (_READS if self.is_learned() else _READS_UNLEARNED)

    def _share_filled(self, width_ms: int) -> float:
        """What it costs to be wider than fresh calls are old: all of it under load, nothing where no rows are there."""
        if len(self._recent) < 2:
            return 0.0
        span_ms = max(self._recent[-1][0] - self._recent[0][0], 1)
        settled = sum(settled for _, _, settled in self._recent) - self._recent[0][2]
        return width_ms * min(1.0, settled / span_ms * width_ms)

    def is_learned(self) -> bool:
        """Whether it is known how long calls take."""
        return sum(self._lengths.values()) >= _FEW

    def is_taking_over(self, now_ms: int) -> bool:
        """Whether it is looking for what another worker left over."""
        return self._took_over and now_ms - self._began_ms < _TOOK_OVER_MS

    # What it learns

    def settled(self, now_ms: int, sent_ms: int, called_ms: int | None) -> None:
        """Learns from a row that told a call's end: it was not yet so at the read before this one."""
        since_ms = sent_ms if called_ms is None else max(called_ms, sent_ms)
        last_ms = self._last_ms or 0
        before_ms = last_ms if last_ms - self.width_ms <= since_ms < last_ms else 0
        # Over at its first look, it was over at an unknown time before: not as late as a long pause would make it.
        length_ms = before_ms - since_ms if before_ms else (now_ms - since_ms) // 2
        step = round(math.log(max(length_ms, 100), _STEP))
        self._lengths[step] = self._lengths.get(step, 0.0) + 1.0
        if now_ms - sent_ms <= self._first_look_ms * _LATER:
            self._first_look_ms = max(self._first_look_ms * _SOONER, QUICKEST_MS)
        elif before_ms - sent_ms >= self._first_look_ms:
            later = 1.5 if before_ms - sent_ms >= 2 * self._first_look_ms else _LATER
            self._first_look_ms = min(self._first_look_ms * later, SLOWEST_MS)
        self._settled += 1

    def saw(self, calls: Sequence[tuple[int, bool]]) -> None:
        """Learns from one read of it, where rows show calls before their end: ages, and whether each is over."""
        if (over_by_ms := _over_by_ms(calls)) is not None:
            self._set_width(_wide_for(over_by_ms))
            self._was_seen = True

    def was_read(self, waiting: Open, rows: int | None) -> None:
        """All of it, when that waited, and so many rows were read; None: others too."""
        now_ms = waiting.now_ms
        if self._last_ms is None:
            self._began_ms = now_ms
            left_over = waiting.since_ms is not None and now_ms - waiting.since_ms > _LEFT_OVER_MS
            self._took_over = self._may_take_over and left_over
        elif rows is not None and sum(self._lengths.values()) >= 1:
            self._recent.append((now_ms, rows * self._stretch, self._settled))
            self._adapt()
        self._fade(now_ms)
        if self.is_learned() and not self._was_seen:
            self._learn(now_ms)
        self._last_ms, self._settled, self._was_seen = now_ms, 0, False

    def _adapt(self) -> None:
        """Slower while more rows were read for a call than was meant: rows of others, say. Sooner while fewer were."""
        settled = sum(one for _, _, one in self._recent)
        if settled >= _FEW:
            least, most = _STRETCHES
            unstretched = sum(rows for _, rows, _ in self._recent) / settled
            wanted = min(max(unstretched / _READS, least), most)
            self._stretch = min(max(wanted, self._stretch / _STRETCHES_BY), self._stretch * _STRETCHES_BY)

    def _fade(self, now_ms: int) -> None:
        if sum(self._lengths.values()) > 10 * _FEW:
            fades = 0.5 ** ((now_ms - (self._last_ms or now_ms)) / _HALF_LIFE_MS)
            self._lengths = {step: n * fades for step, n in self._lengths.items() if n * fades > 0.01}

    def _learn(self, now_ms: int) -> None:
        """From ends alone."""
        longer = _LONGEST_SHARE * sum(self._lengths.values())
        for step in sorted(self._lengths, reverse=True):
            longer -= self._lengths[step]
            if longer <= 0:
                break
        wanted_ms = _wide_for(_STEP ** (step + 0.5))
        if wanted_ms < self.width_ms:
            is_early = now_ms - self._began_ms < 2 * wanted_ms
            wanted_ms = self.width_ms if is_early else max(wanted_ms, self.width_ms * _SHRINKS_BY)
        self._set_width(wanted_ms)

    def _set_width(self, width_ms: float) -> None:
        least, _, most = _WIDTH_MS
        self.width_ms = round(min(max(width_ms, least), most))


def _wide_for(length_ms: float) -> float:
    """So that a call that ends just after a read is caught by the next."""
    return length_ms * _READS / (_READS - 1)


def _over_by_ms(calls: Sequence[tuple[int, bool]]) -> int | None:
    """The age at which nearly all calls are over, as one read of many of them shows; None: it does not."""
    in_order = sorted(calls)
    ages_ms = [age_ms for age_ms, _ in in_order]
    ringing = list(accumulate((not is_over for _, is_over in in_order), initial=0))
    age_ms = 1_000.0
    while (first := bisect_left(ages_ms, age_ms)) + _ENOUGH <= len(ages_ms):
        last = max(bisect_left(ages_ms, age_ms * _STEP**2), first + _ENOUGH)
        tells = ages_ms[first] <= age_ms * _STEP**2  # there are calls of about that age
        if tells and ringing[last] - ringing[first] <= _RINGING_SHARE * (last - first):
            return round(age_ms)
        age_ms *= _STEP
    return None
