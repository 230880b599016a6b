"""Decides which calls' rows are read next, so that each is read two or three times in all. Pure: it asks nobody.

Rows are found by when a call was made. The hot window (`workers.hot_window`) is read again and again, whatever it
costs: nearly all calls end in it. What rings longer, a straggler, is looked for in slices of the time of calls, each at
ages that double, and, where rows show a call before its end, only in the seconds in which one is known to ring. These
reads are paid for by the calls that were seen: each new one gives so many rows to read (`workers.rows_seen`). Before
anything is given up, all is read once more.

Windows and slices are the provider's clock's, in ms, and begin and end at whole seconds, for so do the times in rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.hot_window import HotWindow
from workers.rows_seen import ROWS_A_CALL, RowsSeen
from workers.windows import Window, second

if TYPE_CHECKING:
    from app.message import MessageId
    from app.store.outcomes import Open

_AGES_MS = tuple(8_000 * 2**step for step in range(14))
_ABOVE_HOT = 1.25
_TICK_SHARE = 3
"""A slice is read when it is up to that part of its age older."""
_OLD_MS, _OF_THE_YOUNG, _FEW = 200_000, 0.25, 10
"""Stragglers younger than that may take only this share of what is in the purse, or this few rows."""
_CHEAP = 2
"""Rows that may be read in any case for a call that is looked for."""
_KEEPS = 1.4
"""Rows a call that must be left in the purse when the hot window is read sooner than it must be."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be read now. Give it back by `swept` once all of it was."""

    windows: tuple[Window, ...]
    reached: tuple[tuple[int, int], ...]
    """Age, and the end of the slices that are read at that age with this."""
    asked_at_ms: int
    """When it was made, by Redis' clock."""
    is_hot: bool = False
    whole_from_ms: int | None = None
    """All rows since then are read, by Redis' clock; None: only those of some time."""


class Pace:
    """One source's, as long as one worker collects for it."""

    def __init__(self, *, timeout_ms: int, late_ms: int = 3_600_000, margin_ms: int = 3_000) -> None:
        """`timeout_ms`: when a message without an outcome is given up, and `late_ms`: how long a row may still come.

        `margin_ms`: how far the provider's clock may be off from what was learned.
        """
        self._timeout_ms = timeout_ms
        self._oldest_age_ms = timeout_ms + late_ms
        self._margin_ms = margin_ms
        self._ahead_ms = 0
        self._hot = HotWindow()
        self._seen = RowsSeen()
        self._came: set[MessageId] = set()
        self._read: list[tuple[int, int]] = []
        self._looks: deque[tuple[int, int]] = deque()
        self._hot_at_ms: int | None = None
        self._whole_at_ms: int | None = None

    @property
    def fresh_ms(self) -> int:
        """Calls so young are looked for again and again."""
        return self._hot.width_ms

    # What to ask

    def due(self, waiting: Open, ahead_ms: int, *, judge_from_ms: int | None = None) -> Plan | None:
        """What is to be read now; None: nothing yet.

        `ahead_ms`: the provider's clock less Redis'. `judge_from_ms`, by Redis' clock: the oldest ambiguous import
        that is to be judged, once all rows since then were read.
        """
        self._ahead_ms = ahead_ms
        if (whole_ms := self._whole_from_ms(waiting, judge_from_ms)) is not None:
            only_known = judge_from_ms is None and len(self._seen) == waiting.count
            return self._whole_plan(waiting, whole_ms, only_known=only_known)
        if waiting.since_ms is None:
            return None
        self._seen.forget_before(self._second(waiting.since_ms - self._margin_ms))
        next_ms = self._next_ms(waiting)
        if next_ms is not None and waiting.now_ms >= next_ms:
            return self._hot_plan(waiting, waiting.since_ms)
        return None if self._hot_at_ms is None else self._cold_plan(waiting, waiting.since_ms)

    def wait_s(self, waiting: Open) -> float:
        """How long nothing is to be asked, if nothing new is imported meanwhile; at most a second."""
        next_ms = self._next_ms(waiting)
        return 1.0 if next_ms is None else min(max(next_ms - waiting.now_ms, 20) / 1000, 1.0)

    def looked_from_ms(self, now_ms: int) -> int | None:
        """By Redis' clock: what was sent since then was looked for lately, so it may be given up in its time."""
        while self._looks and self._looks[0][0] < now_ms - self._timeout_ms * 3 // 4:
            self._looks.popleft()
        return min((from_ms for _, from_ms in self._looks), default=None)

    def is_past(self, age_ms: int) -> bool:
        """Whether what is so old is looked for no longer."""
        return age_ms >= self._oldest_age_ms

    def told_until_ms(self) -> int | None:
        """By Redis' clock: redials made until then were seen."""
        return self._whole_at_ms if self._seen.is_by_import else self._hot_at_ms

    def _second(self, at_ms: int) -> int:
        """Of the provider's clock; given Redis'."""
        return second(at_ms + self._ahead_ms)

    def _next_ms(self, waiting: Open) -> int | None:
        rows = max(self._seen.count_since(self._second(self._hot.from_ms(waiting))), waiting.count)
        untold = float(waiting.count - len(self._seen))
        if self._hot.is_learned() and not self._hot.shows_ringing:
            untold /= 2  # some of them were asked about in vain
        has = self._seen.purse + ROWS_A_CALL * untold
        return self._hot.next_ms(waiting, is_paid=has >= rows * (1 + _KEEPS))

    def _whole_from_ms(self, waiting: Open, judge_from_ms: int | None) -> int | None:
        starts = [judge_from_ms] if judge_from_ms is not None else []
        oldest_ms = waiting.oldest_sent_ms
        if oldest_ms is not None and waiting.now_ms - oldest_ms >= self._timeout_ms:
            looked_ms = self.looked_from_ms(waiting.now_ms)
            if looked_ms is None or looked_ms > oldest_ms:
                starts.append(oldest_ms)
        return min(starts, default=None)

    def _whole_plan(self, waiting: Open, whole_ms: int, *, only_known: bool) -> Plan:
        """Everything since then; or, where each call that waits is known to ring, only where they do."""
        window = self._to_now(waiting, whole_ms - self._margin_ms)
        only_known = only_known and waiting.oldest_late_ms is None
        windows = self._seen.worth_reading(window) if only_known else [window]
        reached = tuple((age_ms, self._second(waiting.now_ms - age_ms)) for age_ms in self._cold_ages_ms())
        return Plan(tuple(windows or [window]), reached, waiting.now_ms, is_hot=True, whole_from_ms=whole_ms)

    def _hot_plan(self, waiting: Open, since_ms: int) -> Plan:
        from_ms = self._hot.from_ms(waiting)
        if self._hot_at_ms is None or from_ms <= since_ms:
            return self._whole_plan(waiting, since_ms, only_known=False)
        return Plan((self._to_now(waiting, from_ms),), (), waiting.now_ms, is_hot=True)

    def _to_now(self, waiting: Open, from_ms: int) -> Window:
        return self._second(from_ms), self._second(waiting.now_ms + self._margin_ms) + 1_000

    def _cold_ages_ms(self) -> list[int]:
        least_ms = self._hot.width_ms * _ABOVE_HOT
        return [age_ms for age_ms in _AGES_MS if least_ms <= age_ms < self._oldest_age_ms]

    def _cold_plan(self, waiting: Open, since_ms: int) -> Plan | None:
        """The oldest first; the younger ones leave it something. What costs few rows a call is read in any case."""
        before_hot = 0, self._second(waiting.now_ms - self._hot.width_ms)
        left = waiting.count - waiting.fresh
        is_narrow = waiting.oldest_late_ms is None and self._seen.ringing(before_hot) >= left
        for age_ms in reversed(self._cold_ages_ms()):
            slices = self._slices(waiting, age_ms, since_ms)
            if slices is None:
                continue
            due = self._seen.worth_reading(slices) if is_narrow else [slices]
            rings = self._seen.ringing(slices) if is_narrow else left
            paid, is_old = due, age_ms >= _OLD_MS
            if self._seen.count(due) > _CHEAP * rings:
                purse = self._seen.purse
                paid = self._seen.affordable(
                    due, purse if is_old else max(purse * _OF_THE_YOUNG, min(purse, _FEW))
                )
            if paid == due or (is_old and paid):
                reached = ((age_ms, slices[1] if paid == due else paid[-1][1]),)
                if paid:
                    return Plan(tuple(paid), reached, waiting.now_ms)
                self._has_read(reached)
        return None

    def _slices(self, waiting: Open, age_ms: int, since_ms: int) -> Window | None:
        """What has grown so old and was not read at that age or later; None: less than a tick's worth."""
        reached = [to_ms for at_age_ms, to_ms in self._read if at_age_ms >= age_ms]
        from_ms = max([*reached, self._second(since_ms - self._margin_ms)])
        to_ms = self._second(waiting.now_ms - age_ms)
        return (from_ms, to_ms) if to_ms - from_ms >= age_ms // _TICK_SHARE else None

    # What came

    def still_rings(self, message_id: MessageId, window: Window, called_ms: int | None) -> None:
        """A row of that window told that a call is not over."""
        self._came.add(message_id)
        self._seen.rings(message_id, window, called_ms)

    def settled(
        self,
        message_id: MessageId,
        window: Window,
        called_ms: int | None,
        *,
        sent_ms: int | None,
        now_ms: int,
    ) -> None:
        """A row of that window told a call's end.

        `sent_ms`: when it was imported, None if that is not known; `now_ms`. Both by Redis' clock.
        """
        read_to_ms = 0 if self._hot_at_ms is None else self._hot_at_ms + self._ahead_ms
        self._seen.is_over(message_id, window, called_ms, read_to_ms=read_to_ms)
        if sent_ms is not None:
            by_call = called_ms is not None and not self._seen.is_by_import
            self._hot.settled(now_ms, sent_ms, called_ms - self._ahead_ms if called_ms and by_call else None)

    def swept(self, waiting: Open, plan: Plan, rows: Sequence[tuple[int | None, bool]]) -> None:
        """All of the plan was read; each row's time of the call, None where it had none, and whether that is over."""
        self._seen.pay(plan.windows, [called_ms for called_ms, _ in rows])
        if self._seen.judge_places(plan.windows, self._came):
            # It had learned how long calls take, and not how long after their import they end.
            self._hot = HotWindow(may_take_over=False)
        self._came.clear()
        self._has_read(plan.reached)
        if plan.is_hot:
            self._learn(waiting, plan, rows)
            self._hot_at_ms = plan.asked_at_ms
        if plan.whole_from_ms is not None:
            self._looks.append((plan.asked_at_ms, plan.whole_from_ms))
            if waiting.since_ms is None or plan.whole_from_ms <= waiting.since_ms:
                self._whole_at_ms = plan.asked_at_ms

    def _learn(self, waiting: Open, plan: Plan, rows: Sequence[tuple[int | None, bool]]) -> None:
        now_ms = plan.asked_at_ms + self._ahead_ms
        hot_from_ms = self._second(self._hot.from_ms(waiting) - self._margin_ms)
        self._hot.shows_ringing = self._seen.are_shown_ringing() and not self._seen.is_by_import
        if self._hot.shows_ringing:
            self._hot.saw([(now_ms - at_ms, is_over) for at_ms, is_over in rows if at_ms is not None])
        self._hot.was_read(waiting, len(rows) if plan.windows[0][0] >= hot_from_ms else None)

    def _has_read(self, reached: Iterable[tuple[int, int]]) -> None:
        """Keeps what no other read says too: at a greater age, and further."""
        left: list[tuple[int, int]] = []
        for age_ms, to_ms in sorted([*self._read, *reached], reverse=True):
            if not left or to_ms > left[-1][1]:
                left.append((age_ms, to_ms))
        self._read = left
