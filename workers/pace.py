"""Decides which calls' rows are read next, so that each is read two or three times in all. Pure: it asks nobody.

Rows are found by when a call was made. So the time of calls is read in slices, and each slice at a few ages: when a
third, two thirds and nearly all of its calls should be over. How long calls take is learned from samples, which are
looked at more often (`workers.sample`), and before all others, so that it is known in time. What rings longer, a
straggler, is looked for at ages that double, and there only the seconds are read in which one is known to ring. What
can be left out is paid for by the rows that were seen: each new one gives so many more to read (`workers.rows_seen`).

All times are the provider's clock's, in ms, where not said otherwise; slices begin and end at whole seconds, for so
do the times in rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from workers.lengths import LOOKS_MS
from workers.rows_seen import RowsSeen, SeenCall
from workers.sample import Sample
from workers.windows import Window, cut, merged, second, without

if TYPE_CHECKING:
    from app.message import MessageId
    from app.store.outcomes import Open

_LEFT = (0.67, 0.33, 0.06)
"""The shares of calls that still ring when a slice is read; the first and the last of these reads are always made."""
_LAST_LEFT, _LAST_LATER = 0.02, 1.3
"""The last of them is a little later: when fewer are left, but where some ring for minutes, no later than this."""
_GUESSED = (0.0, 3.0, 1.5)
"""Where only so many of the shares are known yet, the last read is that much later than the last of them."""
_UNKNOWN_MS = tuple(1_400 * 2**n for n in range(7))
"""The ages of reads where nothing is known and no call is new: what a worker left over for the next one."""
_APART, _SAME_AGE = 1.25, 0.8
_TICK_SHARE, _COLD_TICK_SHARE = 6, 3
_TICK_MS = (1_000, 10_000)
_QUIET_SHARE, _QUIETEST_MS = 4, 20_000
"""Where nothing new was heard for a while, ticks are that share of it, at most so long."""
_FOR_STRAGGLERS = 0.8
"""Rows a call that reads which can be left out leave to those that look for stragglers."""
_OLD_MS, _OF_THE_YOUNG = 300_000, 0.25
"""Stragglers younger than that may take only this share of what is in the purse."""
_LEFT_OVER_MS = 2_000
"""What is older than that when a worker begins was another's before."""


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


class Pace:
    """One source's, as long as one worker collects for it."""

    def __init__(self, *, timeout_ms: int, late_ms: int = 3_600_000, margin_ms: int = 3_000) -> None:
        """`timeout_ms`: when a message without an outcome is given up, and `late_ms`: how long a row may still come.

        `margin_ms`: how far the provider's clock may be off from what was learned.
        """
        self._timeout_ms = timeout_ms
        self._oldest_age_ms = timeout_ms + late_ms
        self._margin_ms = margin_ms
        self._seen = RowsSeen()
        self._sample = Sample()
        self._hot = [LOOKS_MS[-1]]
        self._read: list[tuple[int, int]] = []
        self._looks: deque[tuple[int, int]] = deque()
        self._is_new = True
        self._all_read_ms = 0
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
        self._hot = self._hot_ages_ms()
        whole_ms = self._whole_from_ms(waiting, judge_from_ms)
        if whole_ms is not None:
            only_known = judge_from_ms is None and len(self._seen) == waiting.count
            return self._whole_plan(waiting, now_ms, whole_ms, only_known=only_known)
        if waiting.since_ms is None:
            return None
        if self._is_new and waiting.now_ms - waiting.since_ms > _LEFT_OVER_MS:
            left_over = self._whole_plan(waiting, now_ms, waiting.since_ms, only_known=False)
            return replace(left_over, whole_from_ms=None)
        since_ms = second(waiting.since_ms + ahead_ms - self._margin_ms)
        self._seen.forget_before(since_ms)
        self._begin_sample(waiting, now_ms)
        return self._hot_plan(waiting, now_ms, since_ms) or self._cold_plan(waiting, now_ms, since_ms)

    def wait_s(self, waiting: Open, ahead_ms: int) -> float:
        """How long nothing is to be asked, if nothing new is imported meanwhile; at most a second."""
        now_ms = waiting.now_ms + ahead_ms
        return 1.0 if self._next_ms is None else min(max(self._next_ms - now_ms, 20) / 1000, 1.0)

    def looked_from_ms(self, now_ms: int) -> int | None:
        """By Redis' clock: what was sent since then was looked for lately, so it may be given up in its time."""
        while self._looks and self._looks[0][0] < now_ms - self._timeout_ms * 3 // 4:
            self._looks.popleft()
        return min((from_ms for _, from_ms in self._looks), default=None)

    def is_past(self, age_ms: int) -> bool:
        """Whether what is so old is looked for no longer."""
        return age_ms >= self._oldest_age_ms

    def told_until_ms(self) -> int:
        """Of the calls made until then, all were seen that can be: while they ring, or when they should be over."""
        age_ms = self._hot[0] if self._seen.are_shown_ringing() else self._hot[-1] * _SAME_AGE
        return max(self._reached_ms(age_ms, 0), self._all_read_ms)

    def _whole_from_ms(self, waiting: Open, judge_from_ms: int | None) -> int | None:
        starts = [judge_from_ms] if judge_from_ms is not None else []
        oldest_ms = waiting.oldest_sent_ms
        if oldest_ms is not None and waiting.now_ms - oldest_ms >= self._timeout_ms:
            looked_ms = self.looked_from_ms(waiting.now_ms)
            if looked_ms is None or looked_ms > oldest_ms:
                starts.append(oldest_ms)
        return min(starts, default=None)

    def _whole_plan(self, waiting: Open, now_ms: int, whole_ms: int, *, only_known: bool) -> Plan:
        """Everything since then; or, where each call that waits is known to ring, only where they do."""
        ahead_ms = now_ms - waiting.now_ms
        window = second(whole_ms + ahead_ms - self._margin_ms), second(now_ms + self._margin_ms) + 1_000
        only_known = only_known and waiting.oldest_late_ms is None
        windows = self._seen.worth_reading(window) if only_known else [window]
        reached = tuple((age_ms, second(now_ms - age_ms)) for age_ms in self._hot + self._cold_ages_ms())
        return Plan(tuple(windows or [window]), reached, now_ms, waiting.now_ms, whole_ms)

    def _hot_ages_ms(self) -> list[int]:
        """Rising. As far as they are known: the sample is older than all that waits to be read."""
        lengths = self._sample.lengths
        known = [age_ms for age_ms in map(lengths.age_ms, _LEFT) if age_ms is not None]
        if len(known) < len(_LEFT):
            if not known and not self._sample.is_under_way():
                return [*_UNKNOWN_MS]
            last_ms = round(known[-1] * _GUESSED[len(known)]) if known else LOOKS_MS[-1]
            return [*known, min(max(last_ms, self._sample.age_ms()), LOOKS_MS[-1])]
        later_ms = round(known[-1] * _LAST_LATER)
        known[-1] = min(lengths.age_ms(_LAST_LEFT) or later_ms, later_ms)
        return [
            age_ms
            for age_ms, next_ms in zip(known, [*known[1:], 10**9], strict=True)
            if age_ms * _APART < next_ms
        ]

    def _cold_ages_ms(self) -> list[int]:
        ages = [2 * self._hot[-1]]
        while ages[-1] * 2 < self._oldest_age_ms:
            ages.append(ages[-1] * 2)
        return ages

    def _begin_sample(self, waiting: Open, now_ms: int) -> None:
        """If it can be paid for, or if nothing was learned."""
        if waiting.newest_sent_ms is None:
            return
        sent_ms = waiting.newest_sent_ms + now_ms - waiting.now_ms
        if self._sample.is_due(sent_ms, now_ms):
            costs = len(LOOKS_MS) * max(self._seen.in_second(self._sample.sent_ms), 1)
            if self._sample.is_needed(now_ms, waiting.count) or costs <= self._seen.purse:
                self._sample.begin(sent_ms, now_ms)

    def _hot_plan(self, waiting: Open, now_ms: int, since_ms: int) -> Plan | None:
        windows = self._sample.look(now_ms, since_ms, waiting.count)
        self._comes_next(self._sample.next_ms())
        reached: list[tuple[int, int]] = []
        first_ms, *later = self._hot
        for age_ms in (first_ms, *later[-1:], *later[:-1]):
            tick_ms = self._tick_ms(age_ms, _TICK_SHARE, waiting, now_ms)
            slices = self._slices(
                age_ms, tick_ms, now_ms, since_ms, 0 if age_ms == first_ms else age_ms * _SAME_AGE
            )
            if slices is None:
                continue
            due = [slices] if age_ms == first_ms else self._seen.worth_reading(slices, undated=False)
            if self._sample.is_under_way():
                due = without(due, self._sample.window)  # it is looked at anyway, until it is older than that
            if age_ms in later[:-1]:
                due = self._seen.affordable(due, self._to_spare(windows, since_ms))
            windows += due
            reached.append((age_ms, slices[1]))
        return self._plan(windows, reached, waiting.now_ms, now_ms)

    def _to_spare(self, windows: list[Window], since_ms: int) -> float:
        """Rows that are in the purse for reads that can be left out."""
        to_come = self._seen.count_since(self._reached_ms(self._hot[-1] * _SAME_AGE, since_ms))
        return self._seen.purse - _FOR_STRAGGLERS * self._seen.saved() - to_come - self._seen.count(windows)

    def _cold_plan(self, waiting: Open, now_ms: int, since_ms: int) -> Plan | None:
        """The oldest first; the younger ones leave it something."""
        for age_ms in reversed(self._cold_ages_ms()):
            slices = self._slices(age_ms, age_ms // _COLD_TICK_SHARE, now_ms, since_ms, age_ms * _SAME_AGE)
            if slices is None:
                continue
            is_old = age_ms >= _OLD_MS
            due = self._seen.worth_reading(slices)
            paid = self._seen.affordable(due, self._seen.purse * (1.0 if is_old else _OF_THE_YOUNG))
            if paid == due or (is_old and paid):
                done_ms = slices[1] if paid == due else paid[-1][1]
                plan = self._plan(paid, [(age_ms, done_ms)], waiting.now_ms, now_ms)
                if plan is not None:
                    return plan
        return None

    def _plan(
        self, windows: list[Window], reached: list[tuple[int, int]], asked_at_ms: int, now_ms: int
    ) -> Plan | None:
        if not windows:
            self._has_read(reached)
            return None
        windows = merged(windows)
        if self._seen.is_by_import:
            windows = cut(windows, self._sample.window)
        return Plan(tuple(windows), tuple(reached), now_ms, asked_at_ms)

    def _tick_ms(self, age_ms: int, share: int, waiting: Open, now_ms: int) -> int:
        quickest, slowest = _TICK_MS
        tick_ms = min(max(age_ms // share, quickest), slowest)
        heard_ms = max(self._news_ms, (waiting.newest_sent_ms or 0) + now_ms - waiting.now_ms)
        return max(tick_ms, min((now_ms - heard_ms) // _QUIET_SHARE, _QUIETEST_MS))

    def _slices(self, age_ms: int, tick_ms: int, now_ms: int, since_ms: int, same_ms: float) -> Window | None:
        """What has grown so old and was not read at `same_ms` or later; None: less than a tick's worth."""
        from_ms, to_ms = max(self._reached_ms(same_ms, since_ms), since_ms), second(now_ms - age_ms)
        due_ms = second(from_ms + tick_ms + 999) + age_ms
        if now_ms < due_ms:
            self._comes_next(due_ms)
            return None
        return from_ms, to_ms

    def _comes_next(self, at_ms: int | None) -> None:
        if at_ms is not None and (self._next_ms is None or at_ms < self._next_ms):
            self._next_ms = at_ms

    def _reached_ms(self, age_ms: float, since_ms: int) -> int:
        """Up to where slices were read at that age or later."""
        return max((to_ms for at_age_ms, to_ms in self._read if at_age_ms >= age_ms), default=since_ms)

    # What came

    def still_rings(self, message_id: MessageId, now_ms: int, window: Window, called_ms: int | None) -> None:
        """A row of that window told that a call is not over."""
        call = self._call(now_ms, window, called_ms)
        known = self._seen.rings(message_id, call)
        if known is None:
            self._news_ms = now_ms
        self._sample.rings(call, known)

    def settled(self, message_id: MessageId, now_ms: int, window: Window, called_ms: int | None) -> None:
        """A row of that window told a call's end."""
        self._news_ms = now_ms
        call = self._call(now_ms, window, called_ms)
        was_read = any(to_ms > call.place[0] for _, to_ms in self._read)
        self._sample.is_over(call, self._seen.is_over(message_id, call, was_read=was_read))

    def _call(self, now_ms: int, window: Window, called_ms: int | None) -> SeenCall:
        place = self._seen.place(window, called_ms)
        return SeenCall(place, called_ms, max(now_ms - place[0], 0))

    def swept(self, plan: Plan, rows_at_ms: Iterable[int | None]) -> None:
        """All of the plan was read; each row's time of the call, None where it had none."""
        self._is_new = False
        self._seen.pay(plan.windows, rows_at_ms)
        self._has_read(plan.reached)
        enough_ms = self._hot_ages_ms()[-1] if self._seen.are_shown_ringing() else None
        self._sample.was_read(plan.windows, plan.at_ms, enough_ms)
        if plan.whole_from_ms is not None:
            self._all_read_ms = plan.at_ms
            self._looks.append((plan.asked_at_ms, plan.whole_from_ms))

    def _has_read(self, reached: Iterable[tuple[int, int]]) -> None:
        """Keeps what no other read says too: at a greater age, and further."""
        left: list[tuple[int, int]] = []
        for age_ms, to_ms in sorted([*self._read, *reached], reverse=True):
            if not left or to_ms > left[-1][1]:
                left.append((age_ms, to_ms))
        self._read = left
