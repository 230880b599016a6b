"""Decides when a source's export is asked next, and from when on its rows are wanted. Pure: told the time, asks nobody.

Fresh calls set the pace. The hot window reaches from now back as far as nearly all of the last calls took; the pause
between two of its sweeps is a third of its width, so a row is read about three times. What is older than the hot
window, a straggler, is looked for in cold windows of twice the width each time, each far apart: no straggler, however
old, makes the others' sweeps wider or slower. Every window reaches to now, for rows are found by when a call was made,
and a campaign of few lines calls long after the import.

All times are ms by Redis' clock.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.store.outcomes import Open

QUICKEST_MS = 700
SLOWEST_MS = 40_000
_QUIET_MS, _QUIETEST_MS = 5_000, 20_000
"""The pause when only old calls wait and nothing is heard of them, before it grows."""
_ROWS_A_CALL = 3.3
"""How often a row may be read, hot and cold; what cold windows take, the hot one goes without."""
_HOT_READS = (2.2, 3.3)
_STRETCH_ABOVE, _STRETCH_MOST, _STRETCHES_BY = 1.1, 2.0, 1.15
_HOT_MS = (2_000, 60_000, 90_000)
"""The hot window's width: least, as long as nothing was learned, and most."""
_SHRINKS_BY = 0.9
"""From sweep to sweep. Not at all soon after a start, for the first outcomes are those of the shortest calls."""
_LONGEST_SHARE = 0.04
"""Of the calls: what the hot window need not catch, and cold windows may find."""
_SOONER, _LATER = 0.75, 1.1
"""What a call does to the age at which a lone call is first looked for: about one in four is over by then."""
_FEW = 5
_HALF_LIFE_MS = 600_000
_STEP = 1.15
_AGES_MS = tuple(8_000 * 2**step for step in range(14))
_COLD_READS = 0.8
_COLD_PERIODS = (1.2, 3.0)
"""A cold window is read once in so many of its widths: more seldom, the more of them are needed."""


class Pace:
    """One source's, as long as one worker collects for it."""

    def __init__(self, *, timeout_ms: int, margin_ms: int) -> None:
        """`timeout_ms`: when a message without an outcome is given up; `margin_ms`: by how much windows are wider."""
        self._timeout_ms = timeout_ms
        self._margin_ms = margin_ms
        self._hot_ms = _HOT_MS[1]
        self._lengths: dict[int, float] = {}
        self._first_look_ms = float(QUICKEST_MS)
        self._recent: deque[tuple[int, float, int]] = deque(maxlen=30)
        self._looks: deque[tuple[int, int]] = deque()
        self._cold_began: dict[int, int] = {}
        self._began_ms = 0
        self._last_ms: int | None = None
        self._settled = 0
        self._news = False
        self._quiet = 0
        self._stretch = 1.0

    def ages_ms(self) -> tuple[int, ...]:
        """The steps of age beyond the hot window that the cold windows are for; the first is the hot window's width."""
        hot_ms = self.hot_ms()
        return (hot_ms, *(age for age in _AGES_MS if age > hot_ms))

    def hot_ms(self) -> int:
        """How far back the hot window reaches: nearly all calls have their outcome by then."""
        return self._hot_ms

    def due_from_ms(self, waiting: Open, *, judge_from_ms: int | None = None) -> int | None:
        """From when on rows are wanted now; None: nothing is to be asked yet.

        `judge_from_ms`: the oldest ambiguous import that is to be judged, once the sweep found no row of it.
        """
        if self._last_ms is None:
            return waiting.since_ms if waiting.now_ms >= (self._hot_at_ms(waiting) or 0) else None
        starts = [judge_from_ms] if judge_from_ms is not None else []
        hot_at_ms = self._hot_at_ms(waiting)
        if hot_at_ms is not None and waiting.now_ms >= hot_at_ms:
            starts.append(self._hot_from_ms(waiting))
        if (cold_ms := self._cold_from_ms(waiting)) is not None:
            starts.append(cold_ms)
        return min(starts, default=None)

    def wait_s(self, waiting: Open) -> float:
        """How long nothing is to be asked, if nothing new is imported meanwhile; at most a second."""
        hot_at_ms = self._hot_at_ms(waiting)
        return 1.0 if hot_at_ms is None else min(max(hot_at_ms - waiting.now_ms, 20) / 1000, 1.0)

    def settled(self, now_ms: int, sent_ms: int, called_ms: int | None) -> None:
        """Learns from a row that settled a message: it was not yet so at the sweep before this one."""
        since_ms = sent_ms if called_ms is None else max(called_ms, sent_ms)
        before_ms = max((began_ms for began_ms, from_ms in self._looks if from_ms <= since_ms), default=0)
        # Over at its first look, it was over at an unknown time before: not as late as a long pause would make it.
        length_ms = before_ms - since_ms if before_ms > since_ms else (now_ms - since_ms) // 2
        step = round(math.log(max(length_ms, 100), _STEP))
        self._lengths[step] = self._lengths.get(step, 0.0) + 1.0
        if now_ms - sent_ms <= self._first_look_ms * _LATER:
            self._first_look_ms = max(self._first_look_ms * _SOONER, QUICKEST_MS)
        elif before_ms - sent_ms >= self._first_look_ms:
            later = 1.5 if before_ms - sent_ms >= 2 * self._first_look_ms else _LATER
            self._first_look_ms = min(self._first_look_ms * later, SLOWEST_MS)
        self._settled += 1
        self._news = True

    def heard(self) -> None:
        """A row that told something new, though no outcome."""
        self._news = True

    def swept(self, waiting: Open, from_ms: int, rows: int) -> None:
        """A whole sweep of what `due_from_ms` said is over, begun when `waiting` was read."""
        now_ms, hot_from_ms = waiting.now_ms, self._hot_from_ms(waiting)
        if from_ms >= hot_from_ms and sum(self._lengths.values()) >= 1:
            self._recent.append((now_ms, rows * self._stretch, self._settled))
            self._adapt(self._hot_reads(waiting))
        for age_ms in _AGES_MS:
            oldest_ms = waiting.oldest_by_age.get(age_ms, now_ms - age_ms)
            if from_ms <= oldest_ms:
                self._cold_began[age_ms] = now_ms
        if self._last_ms is None:
            self._began_ms = now_ms
        self._learn(now_ms, self._hot_reads(waiting))
        self._looks.append((now_ms, from_ms))
        self._quiet = 0 if self._news or self._is_fresh(waiting) else self._quiet + 1
        self._last_ms, self._settled, self._news = now_ms, 0, False

    def looked_from_ms(self, now_ms: int) -> int | None:
        """What was sent since then was looked for lately, so it may be given up when its time is over."""
        while self._looks and self._looks[0][0] < now_ms - self._timeout_ms * 3 // 4:
            self._looks.popleft()
        return min((from_ms for _, from_ms in self._looks), default=None)

    def _learn(self, now_ms: int, reads: float) -> None:
        """So wide that a call that ends just after a sweep is caught by the next, if it is none of the longest."""
        total = sum(self._lengths.values())
        if total > 10 * _FEW:
            fades = 0.5 ** ((now_ms - (self._last_ms or now_ms)) / _HALF_LIFE_MS)
            self._lengths = {step: n * fades for step, n in self._lengths.items() if n * fades > 0.01}
        if total < _FEW:
            return
        longer = _LONGEST_SHARE * sum(self._lengths.values())
        for step in sorted(self._lengths, reverse=True):
            longer -= self._lengths[step]
            if longer <= 0:
                break
        least, _, most = _HOT_MS
        margin_ms = self._margin_ms * (1 - 1 / reads)
        wanted_ms = (_STEP ** (step + 0.5) - margin_ms) * reads / (reads - 1)
        if wanted_ms < self._hot_ms:
            is_early = now_ms - self._began_ms < 2 * wanted_ms
            wanted_ms = self._hot_ms if is_early else max(wanted_ms, self._hot_ms * _SHRINKS_BY)
        self._hot_ms = round(min(max(wanted_ms, least), most))

    def _is_fresh(self, waiting: Open) -> bool:
        return waiting.oldest_fresh_ms is not None

    def _hot_from_ms(self, waiting: Open) -> int:
        return max(waiting.since_ms or 0, waiting.now_ms - self._hot_ms)

    def _hot_at_ms(self, waiting: Open) -> int | None:
        """When the hot window is next read: never before a call of now can be over, then by the window's width."""
        now_ms, last_ms = waiting.now_ms, self._last_ms
        oldest_ms = waiting.oldest_sent_ms
        if oldest_ms is None:
            oldest_ms = waiting.newest_late_ms
            if oldest_ms is None or now_ms - oldest_ms > self._hot_ms:
                return None
        first_ms = oldest_ms + round(self._first_look_ms)
        if last_ms is None:
            return first_ms
        if not self._is_fresh(waiting) and self._quiet > 1:
            return last_ms + min(_QUIET_MS * (self._quiet - 1), _QUIETEST_MS)
        width_ms = now_ms - self._hot_from_ms(waiting)
        fresh_ms = width_ms if waiting.oldest_fresh_ms is None else now_ms - waiting.oldest_fresh_ms
        costs_ms = fresh_ms + self._share_filled(width_ms - fresh_ms + self._margin_ms)
        pause_ms = costs_ms / self._hot_reads(waiting) * self._stretch
        return max(first_ms, last_ms + round(min(max(pause_ms, QUICKEST_MS), SLOWEST_MS)))

    def _share_filled(self, width_ms: int) -> float:
        """What it costs to be wider than fresh calls are old: all of it under load, nothing where no rows are there."""
        if len(self._recent) < 2:
            return 0.0
        span_ms = max(self._recent[-1][0] - self._recent[0][0], 1)
        settled = sum(settled for _, _, settled in self._recent) - self._recent[0][2]
        return width_ms * min(1.0, settled / span_ms * width_ms)

    def _cold_periods(self, waiting: Open) -> float:
        # A window counts half, for the next wider one is read in its stead every other time; the widest counts whole.
        least, most = _COLD_PERIODS
        return min(max(least, (len(waiting.oldest_by_age) + 1) / 2 / _COLD_READS), most)

    def _hot_reads(self, waiting: Open) -> float:
        least, most = _HOT_READS
        levels = len(waiting.oldest_by_age)
        cold = (levels + 1) / 2 / self._cold_periods(waiting) if levels else 0.0
        return min(max(least, _ROWS_A_CALL - cold), most)

    def _adapt(self, reads: float) -> None:
        """Slower while more rows were read for a call than was meant: rows of others, or of calls not yet over."""
        settled = sum(one for _, _, one in self._recent)
        if settled >= _FEW:
            unstretched = sum(rows for _, rows, _ in self._recent) / settled
            wanted = min(max(unstretched / (reads * _STRETCH_ABOVE), 1.0), _STRETCH_MOST)
            self._stretch = min(wanted, self._stretch * _STRETCHES_BY)

    def _cold_from_ms(self, waiting: Open) -> int | None:
        now_ms, periods = waiting.now_ms, self._cold_periods(waiting)
        for age_ms in sorted(waiting.oldest_by_age, reverse=True):
            # One that was never read: as soon as anything can have grown so old since this worker's first sweep.
            never_ms = self._began_ms + age_ms // 2 - round(periods * age_ms)
            if now_ms - self._cold_began.get(age_ms, never_ms) >= periods * age_ms:
                return waiting.oldest_by_age[age_ms]
        oldest_ms = waiting.oldest_sent_ms
        if oldest_ms is None or now_ms - oldest_ms < self._timeout_ms:
            return None
        looked_ms = self.looked_from_ms(now_ms)
        return oldest_ms if looked_ms is None or looked_ms > oldest_ms else None
