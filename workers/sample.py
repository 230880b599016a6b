"""A sample of calls: the newest there are, looked at more often than others, to learn how long calls take. Pure.

Under load it is the calls of one second. Where few wait, it is wider: a call may be made some seconds after its import,
and there are no others whose rows it would cost. One of which nothing was seen is given up for the next.

Times are the provider's clock's, in ms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.lengths import LOOKS_MS, Lengths
from workers.windows import Window, second

if TYPE_CHECKING:
    from workers.rows_seen import SeenCall

_EVERY_MS, _SAMPLED_WELL = 60_000, 20
_NOTICED_WITHIN_MS = 2_000
"""Later than that after its import, a call is no use for short lengths, unless nothing is known at all."""
_FEW, _BEFORE_MS, _AFTER_MS = 8, 2_000, 5_000
_NEVER_MS = -(10**15)
_COARSE = 2
"""So many looks are left out, the first, where there are many calls."""
_KNOWN_LITTLE, _AGAIN_MS = 5, 15_000
_PATIENCE = 4
"""Looks at a sample that shows nothing, before a newer one takes its place; each time it is two more."""


class Sample:
    """One source's, and what was learned from its samples so far."""

    def __init__(self) -> None:
        self.lengths = Lengths()
        self.window: Window = (0, 0)
        self.sent_ms = _NEVER_MS
        self._began_ms = self._read_ms = 0
        self._look, self._patience = len(LOOKS_MS), _PATIENCE
        self._is_empty = True

    def is_under_way(self) -> bool:
        """Whether there is one that will be looked at again."""
        return self._look < len(LOOKS_MS)

    def is_due(self, sent_ms: int, now_ms: int) -> bool:
        """Whether calls imported then should be one; whatever it costs, if nothing is known."""
        if sent_ms < self.sent_ms + 1_000:
            return False
        if not self.lengths.known:
            shows_nothing = self._is_empty and self._look >= self._patience
            return now_ms - sent_ms <= LOOKS_MS[-1] and (shows_nothing or not self.is_under_way())
        if self.is_under_way():
            return False
        wants_more = self.lengths.known < _SAMPLED_WELL or now_ms - self._began_ms > _EVERY_MS
        return wants_more and now_ms - sent_ms <= _NOTICED_WITHIN_MS

    def is_needed(self, now_ms: int, waiting: int) -> bool:
        """Whether it is to begin whatever it costs: next to nothing is known."""
        known = self.lengths.known
        return not known or (known < _KNOWN_LITTLE and waiting > _FEW and now_ms - self._began_ms > _AGAIN_MS)

    def begin(self, sent_ms: int, now_ms: int) -> None:
        """With the calls imported then."""
        if self.is_under_way():
            self._patience += 2
        self.sent_ms, self._began_ms, self._read_ms = second(sent_ms), now_ms, 0
        self.window = (self.sent_ms - _BEFORE_MS, self.sent_ms + _AFTER_MS)
        self._look, self._is_empty = 0, True

    def age_ms(self) -> int:
        """At which it was last looked at."""
        return LOOKS_MS[self._look - 1] if self._look else 0

    def next_ms(self) -> int | None:
        """When it is to be looked at next."""
        return self.sent_ms + 1_000 + LOOKS_MS[self._look] if self.is_under_way() else None

    def look(self, now_ms: int, since_ms: int, waiting: int) -> list[Window]:
        """What is to be read of it now, if anything. `waiting`: how many calls wait in all, the oldest `since_ms`."""
        if waiting > _FEW:
            self.window = (self.sent_ms, self.sent_ms + 1_000)
            self._look = max(self._look, _COARSE)
        if self.window[1] <= since_ms:
            self._look = len(LOOKS_MS)
        due_ms, is_due = self.next_ms(), False
        while due_ms is not None and now_ms >= due_ms:
            self._look += 1
            due_ms, is_due = self.next_ms(), True
        return [self.window] if is_due else []

    def rings(self, call: SeenCall, known: SeenCall | None) -> None:
        """A call was seen that is not over; what is only queued is in no sample yet."""
        if call.called_ms is not None and self._has(call.place):
            self._is_empty = False
            self.lengths.rang(known.age_ms if known else 0, call.age_ms)

    def is_over(self, call: SeenCall, known: SeenCall | None) -> None:
        """A call was seen that is."""
        if self._has(call.place):
            self._is_empty = False
            known_ms = known.age_ms if known else 0
            before_ms = min(max(known_ms, self._read_ms - call.place[0]), call.age_ms)
            self.lengths.rang(known_ms, before_ms)  # also where no row told so
            self.lengths.was_over(before_ms, call.age_ms)

    def was_read(self, windows: tuple[Window, ...], at_ms: int, enough_ms: int | None) -> None:
        """Those windows were, then. What still rings at `enough_ms` is followed no longer."""
        a, b = self.window
        if any(from_ms <= a and b <= to_ms for from_ms, to_ms in windows):
            self._read_ms = at_ms
        if enough_ms is not None and enough_ms < self.age_ms():
            self._look = len(LOOKS_MS)

    def _has(self, place: Window) -> bool:
        return self.window[0] <= place[0] and place[1] <= self.window[1]
