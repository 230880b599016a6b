"""Decides which calls' rows are read next, so that each is read two or three times in all. Pure: it asks nobody.

Rows are found by when a call was made. So the time of calls is read in slices, and each slice at a few ages: when a
third, two thirds and nearly all of its calls should be over. How long calls take is learned from samples, the calls of
one second, which are looked at more often (`workers.lengths`), and before all others, so that it is known in time. What
rings longer, a straggler, is looked for at ages that double, and there only the seconds are read in which one is known
to ring. What can be left out is paid for by the rows that were seen: each new one gives so many more to read.

All times are the provider's clock's, in ms, where not said otherwise; slices begin and end at whole seconds, for so
do the times in rows.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.lengths import LOOKS_MS, Lengths

if TYPE_CHECKING:
    from app.message import MessageId
    from app.store.outcomes import Open

Window = tuple[int, int]
"""From, and up to but without."""

_LEFT = (0.67, 0.33, 0.06)
"""The shares of calls that still ring when a slice is read; the first and the last of these reads are always made."""
_LAST_LEFT, _LAST_LATER = 0.02, 1.3
"""The last of them is a little later: when fewer are left, but where some ring for minutes, no later than this."""
_APART, _SAME_AGE = 1.25, 0.8
_SAMPLE_EVERY_MS, _SAMPLED_WELL = 60_000, 20
_TICK_SHARE, _COLD_TICK_SHARE = 6, 3
_TICK_MS = (1_000, 10_000)
_QUIET_SHARE, _QUIETEST_MS = 4, 20_000
"""Where nothing new was heard for a while, ticks are that share of it, at most so long."""
_ROWS_A_CALL = 2.9
_FOR_STRAGGLERS = 0.8
"""Of these: what middle reads leave."""
_PURSE_AT_FIRST = 30.0
_SAVED_FOR_MS = 300_000
_OLD_MS, _OF_THE_YOUNG = 300_000, 0.25
"""Stragglers younger than that may take only this share of what is in the purse."""
_MOST_PIECES = 40
_MOST_RINGING = 50_000
_FEW_SEEN, _RINGS_ABOVE = 5, 0.9


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be read now. Give it back by `swept` once all of it was."""

    windows: tuple[Window, ...]
    reached: tuple[tuple[int, int], ...]
    """Age, and the end of the slices that are read at that age with this."""
    at_ms: int
    asked_at_ms: int
    """When it was made, by the provider's clock and by Redis'."""
    whole_from_ms: int | None = None
    """All rows since then are read, by Redis' clock; None: only those of some slices."""


@dataclass(slots=True)
class _Ringing:
    place: Window
    age_ms: int


class Pace:
    """One source's, as long as one worker collects for it."""

    def __init__(self, *, timeout_ms: int, late_ms: int = 3_600_000, margin_ms: int = 3_000) -> None:
        """`timeout_ms`: when a message without an outcome is given up, and `late_ms`: how long a row may still come.

        `margin_ms`: how far the provider's clock may be off from what was learned.
        """
        self._timeout_ms = timeout_ms
        self._oldest_age_ms = timeout_ms + late_ms
        self._margin_ms = margin_ms
        self._lengths = Lengths()
        self._sample: Window = (0, 0)
        self._sampled_ms = self._sample_read_ms = 0
        self._look = len(LOOKS_MS)
        self._read: list[tuple[int, int]] = []
        self._rows: Counter[int] = Counter()
        self._ringing: dict[MessageId, _Ringing] = {}
        self._foretold = self._seen_before = 0.0
        self._is_by_import = False
        self._purse = _PURSE_AT_FIRST
        self._looks: deque[tuple[int, int]] = deque()
        self._news_ms = 0
        self._next_ms: int | None = None

    # What to ask

    def due(self, waiting: Open, ahead_ms: int, *, judge_from_ms: int | None = None) -> Plan | None:
        """What is to be read now; None: nothing yet.

        `ahead_ms`: the provider's clock less Redis'. `judge_from_ms`, by Redis' clock: the oldest ambiguous import
        that is to be judged, once all rows since then were read.
        """
        now_ms = waiting.now_ms + ahead_ms
        self._next_ms = None
        whole_ms = self._whole_from_ms(waiting, judge_from_ms)
        if whole_ms is not None:
            window = _second(whole_ms + ahead_ms - self._margin_ms), _second(now_ms + self._margin_ms) + 1_000
            is_known = judge_from_ms is None and self._rings() and len(self._ringing) == waiting.count
            pieces = self._pieces(window) if is_known and waiting.oldest_late_ms is None else [window]
            reached = tuple((age_ms, _second(now_ms - age_ms)) for age_ms in self._ages_ms())
            return Plan(tuple(pieces), reached, now_ms, waiting.now_ms, whole_ms)
        if waiting.since_ms is None:
            return None
        since_ms = _second(waiting.since_ms + ahead_ms - self._margin_ms)
        self._forget_before(since_ms)
        self._begin_sample(waiting, now_ms, ahead_ms)
        return self._hot_plan(waiting, now_ms, since_ms) or self._cold_plan(waiting, now_ms, since_ms)

    def wait_s(self, waiting: Open, ahead_ms: int) -> float:
        """How long nothing is to be asked, if nothing new is imported meanwhile; at most a second."""
        now_ms = waiting.now_ms + ahead_ms
        return 1.0 if self._next_ms is None else min(max(self._next_ms - now_ms, 20) / 1000, 1.0)

    def looked_from_ms(self, now_ms: int) -> int | None:
        """By Redis' clock: what was sent since then was looked for lately, so it may be given up when its time is over."""
        while self._looks and self._looks[0][0] < now_ms - self._timeout_ms * 3 // 4:
            self._looks.popleft()
        return min((from_ms for _, from_ms in self._looks), default=None)

    def _whole_from_ms(self, waiting: Open, judge_from_ms: int | None) -> int | None:
        starts = [judge_from_ms] if judge_from_ms is not None else []
        oldest_ms = waiting.oldest_sent_ms
        if oldest_ms is not None and waiting.now_ms - oldest_ms >= self._timeout_ms:
            looked_ms = self.looked_from_ms(waiting.now_ms)
            if looked_ms is None or looked_ms > oldest_ms:
                starts.append(oldest_ms)
        return min(starts, default=None)

    def _hot_ages_ms(self) -> list[int]:
        """Rising. As far as they are known: the sample is older than all that waits to be read."""
        known = [age_ms for age_ms in map(self._lengths.age_ms, _LEFT) if age_ms is not None]
        if len(known) < len(_LEFT):
            return [*known, LOOKS_MS[-1]]
        later_ms = round(known[-1] * _LAST_LATER)
        known[-1] = min(self._lengths.age_ms(_LAST_LEFT) or later_ms, later_ms)
        return [age_ms for age_ms, next_ms in zip(known, [*known[1:], 10**9], strict=True) if age_ms * _APART < next_ms]

    def _cold_ages_ms(self) -> list[int]:
        ages = [2 * self._hot_ages_ms()[-1]]
        while ages[-1] * 2 < self._oldest_age_ms:
            ages.append(ages[-1] * 2)
        return ages

    def _ages_ms(self) -> list[int]:
        return self._hot_ages_ms() + self._cold_ages_ms()

    def _hot_plan(self, waiting: Open, now_ms: int, since_ms: int) -> Plan | None:
        windows = self._look_at_sample(now_ms)
        reached: list[tuple[int, int]] = []
        hot = self._hot_ages_ms()
        for age_ms in (*(hot[:1] + hot[1:][-1:]), *hot[1:-1]):
            tick_ms = self._tick_ms(age_ms, _TICK_SHARE, waiting, now_ms)
            same_ms = 0 if age_ms == hot[0] else age_ms * _SAME_AGE
            slices = self._slices(age_ms, tick_ms, now_ms, since_ms, same_ms)
            if slices is None:
                continue
            pieces = [slices] if age_ms == hot[0] else self._pieces(slices)
            if age_ms in hot[1:-1]:
                owed = self._saved() + self._rows_since(self._reached_ms(hot[-1] * _SAME_AGE, since_ms))
                pieces = self._affordable(pieces, self._purse - owed - self._cost(windows))
            windows += pieces
            reached.append((age_ms, slices[1]))
        return self._plan(windows, reached, waiting.now_ms, now_ms)

    def _begin_sample(self, waiting: Open, now_ms: int, ahead_ms: int) -> None:
        """A sample are the newest calls, if it can be paid for, or if nothing was learned."""
        if self._look < len(LOOKS_MS) or waiting.newest_sent_ms is None:
            return
        sent_ms = waiting.newest_sent_ms + ahead_ms
        if sent_ms < self._sample[1] or now_ms - sent_ms > LOOKS_MS[0]:
            return
        is_due = self._lengths.known < _SAMPLED_WELL or now_ms - self._sampled_ms > _SAMPLE_EVERY_MS
        costs = len(LOOKS_MS) * max(self._rows[self._sample[0] // 1000], 1)
        if not self._lengths.known or (is_due and costs <= self._purse):
            self._sample = (_second(sent_ms), _second(sent_ms) + 1_000)
            self._sampled_ms, self._sample_read_ms, self._look = now_ms, 0, 0

    def _look_at_sample(self, now_ms: int) -> list[Window]:
        while self._look < len(LOOKS_MS):
            due_ms = self._sample[1] + LOOKS_MS[self._look]
            if now_ms < due_ms:
                self._next_ms = min(due_ms, self._next_ms or due_ms)
                return []
            self._look += 1
            if self._look == len(LOOKS_MS) or now_ms < self._sample[1] + LOOKS_MS[self._look]:
                return [self._sample]
        return []

    def _cold_plan(self, waiting: Open, now_ms: int, since_ms: int) -> Plan | None:
        """The oldest first; the younger ones leave it something."""
        for age_ms in reversed(self._cold_ages_ms()):
            tick_ms, same_ms = age_ms // _COLD_TICK_SHARE, age_ms * _SAME_AGE
            slices = self._slices(age_ms, tick_ms, now_ms, since_ms, same_ms)
            if slices is None:
                continue
            is_old = age_ms >= _OLD_MS
            pieces, read = self._paid(slices, self._purse * (1.0 if is_old else _OF_THE_YOUNG))
            if read == slices or (is_old and pieces):
                plan = self._plan(pieces, [(age_ms, read[1])], waiting.now_ms, now_ms)
                if plan is not None:
                    return plan
        return None

    def _paid(self, slices: Window, rows: float) -> tuple[list[Window], Window]:
        """The pieces to be read that so many rows pay for, and which of the slices are done with them."""
        pieces = self._pieces(slices)
        affordable = self._affordable(pieces, rows)
        if affordable == pieces:
            return pieces, slices
        return affordable, (slices[0], affordable[-1][1] if affordable else slices[0])

    def _affordable(self, pieces: list[Window], rows: float) -> list[Window]:
        """The first of them, and of those the first seconds, that hold no more than so many rows."""
        left, taken = rows, []
        for from_ms, to_ms in pieces:
            end_ms = from_ms
            while end_ms < to_ms and (left := left - self._rows[end_ms // 1000]) >= 0:
                end_ms += 1_000
            if end_ms > from_ms:
                taken.append((from_ms, end_ms))
            if end_ms < to_ms:
                break
        return taken

    def _plan(
        self, pieces: list[Window], reached: list[tuple[int, int]], asked_at_ms: int, now_ms: int
    ) -> Plan | None:
        if not pieces:
            self._has_read(reached)
            return None
        return Plan(tuple(_merged(pieces)), tuple(reached), now_ms, asked_at_ms)

    def _tick_ms(self, age_ms: int, share: int, waiting: Open, now_ms: int) -> int:
        quickest, slowest = _TICK_MS
        tick_ms = min(max(age_ms // share, quickest), slowest)
        heard_ms = max(self._news_ms, (waiting.newest_sent_ms or 0) + now_ms - waiting.now_ms)
        return max(tick_ms, min((now_ms - heard_ms) // _QUIET_SHARE, _QUIETEST_MS))

    def _slices(
        self, age_ms: int, tick_ms: int, now_ms: int, since_ms: int, same_ms: float
    ) -> Window | None:
        """What has grown so old and was not read at `same_ms` or later; None: less than a tick's worth."""
        from_ms, to_ms = max(self._reached_ms(same_ms, since_ms), since_ms), _second(now_ms - age_ms)
        due_ms = _second(from_ms + tick_ms + 999) + age_ms
        if now_ms < due_ms:
            self._next_ms = min(due_ms, self._next_ms or due_ms)
            return None
        return from_ms, to_ms

    def _reached_ms(self, age_ms: float, since_ms: int) -> int:
        """Up to where slices were read at that age or later."""
        return max((to_ms for at_age_ms, to_ms in self._read if at_age_ms >= age_ms), default=since_ms)

    def _pieces(self, slices: Window) -> list[Window]:
        """Of these slices, those in which a call is known to ring; all, where rows are not shown before a call's end."""
        if not self._rings():
            return [slices]
        pieces = _within((one.place for one in self._ringing.values()), slices)
        while len(pieces) > _MOST_PIECES:
            gap = min(range(1, len(pieces)), key=lambda n: pieces[n][0] - pieces[n - 1][1])
            pieces[gap - 1 : gap + 1] = [(pieces[gap - 1][0], pieces[gap][1])]
        return pieces

    def _rings(self) -> bool:
        """Whether calls are shown before their end: of those that were over when read again, nearly all were seen."""
        return self._seen_before >= _FEW_SEEN and self._foretold >= _RINGS_ABOVE * self._seen_before

    def _cost(self, pieces: list[Window]) -> int:
        return sum(
            self._rows[second]
            for from_ms, to_ms in _merged(pieces)
            for second in range(from_ms // 1000, to_ms // 1000)
        )

    # What came

    def still_rings(self, message_id: MessageId, now_ms: int, window: Window, called_ms: int | None) -> None:
        """A row of that window told that a call is not over."""
        place = self._place(window, called_ms)
        known = self._ringing.get(message_id)
        if place is None or (known is None and len(self._ringing) >= _MOST_RINGING):
            return
        age_ms = max(now_ms - place[0], 0)
        if known is None or known.place != place:
            known, self._news_ms = None, now_ms
        if self._is_sampled(place):
            self._lengths.rang(known.age_ms if known else 0, age_ms)
        self._ringing[message_id] = _Ringing(place, age_ms)

    def settled(self, message_id: MessageId, now_ms: int, window: Window, called_ms: int | None) -> None:
        """A row of that window told a call's end."""
        self._news_ms = now_ms
        known, place = self._ringing.pop(message_id, None), self._place(window, called_ms)
        if place is None:
            return
        if known is not None and known.place != place:
            known = None
        if self._is_sampled(place):
            known_ms = known.age_ms if known else 0
            before_ms = max(known_ms, self._sample_read_ms - place[0])
            self._lengths.rang(known_ms, before_ms)  # also where no row told so
            self._lengths.was_over(before_ms, max(now_ms - place[0], 0))
        if known or any(to_ms > place[0] for _, to_ms in self._read):
            self._foretold += known is not None
            self._seen_before += 1
            if self._seen_before > 10 * _FEW_SEEN:
                self._foretold, self._seen_before = self._foretold / 2, self._seen_before / 2

    def _is_sampled(self, place: Window) -> bool:
        return self._look <= len(LOOKS_MS) and place == self._sample

    def swept(self, plan: Plan, rows_at_ms: Iterable[int | None]) -> None:
        """All of the plan was read; each row's time of the call, None where it had none."""
        rows = list(rows_at_ms)
        starts = plan.windows[0][0] // 1000
        seen = Counter(starts if at_ms is None else at_ms // 1000 for at_ms in rows)
        new = sum(max(0, n - self._rows[second]) for second, n in seen.items())
        for second, n in seen.items():
            self._rows[second] = max(n, self._rows[second])
        self._pay(new, len(rows), plan.windows[-1][1])
        self._has_read(plan.reached)
        if any(_within([self._sample], window) for window in plan.windows):
            self._sample_read_ms = plan.at_ms
        if self._rings() and self._hot_ages_ms()[-1] < LOOKS_MS[max(self._look - 2, 0)]:
            self._look = len(LOOKS_MS)
        if plan.whole_from_ms is not None:
            self._looks.append((plan.asked_at_ms, plan.whole_from_ms))

    def _pay(self, new: int, read: int, upto_ms: int) -> None:
        most = _PURSE_AT_FIRST + _ROWS_A_CALL * self._rows_since(upto_ms - _SAVED_FOR_MS)
        self._purse = min(self._purse + _ROWS_A_CALL * new - read, most)

    def _saved(self) -> float:
        return _FOR_STRAGGLERS * self._rows_since(max(self._rows, default=0) * 1000 - _SAVED_FOR_MS)

    def _rows_since(self, from_ms: int) -> int:
        return sum(n for second, n in self._rows.items() if second >= from_ms // 1000)

    def _place(self, window: Window, called_ms: int | None) -> Window | None:
        if called_ms is not None:
            place = (_second(called_ms), _second(called_ms) + 1_000)
            if window[0] <= place[0] < window[1]:
                return place
            self._is_by_import = True
        return window if self._is_by_import else None

    def _has_read(self, reached: Iterable[tuple[int, int]]) -> None:
        """Keeps what no other read says too: at a greater age, and further."""
        left: list[tuple[int, int]] = []
        for age_ms, to_ms in sorted([*self._read, *reached], reverse=True):
            if not left or to_ms > left[-1][1]:
                left.append((age_ms, to_ms))
        self._read = left

    def _forget_before(self, since_ms: int) -> None:
        for second in [one for one in self._rows if one < since_ms // 1000]:
            del self._rows[second]
        for message_id in [key for key, one in self._ringing.items() if one.place[1] <= since_ms]:
            del self._ringing[message_id]


def _within(pieces: Iterable[Window], bounds: Window) -> list[Window]:
    """What of the pieces lies within the bounds; rising, and merged where they meet."""
    from_ms, to_ms = bounds
    return _merged((max(a, from_ms), min(b, to_ms)) for a, b in pieces if a < to_ms and b > from_ms)


def _second(at_ms: int) -> int:
    return at_ms // 1000 * 1000


def _merged(pieces: Iterable[Window]) -> list[Window]:
    merged: list[Window] = []
    for from_ms, to_ms in sorted(pieces):
        if merged and from_ms <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(to_ms, merged[-1][1]))
        else:
            merged.append((from_ms, to_ms))
    return merged
