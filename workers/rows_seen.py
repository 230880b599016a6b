"""What one source's rows told so far: how many each second has, which calls still ring, and what may yet be read. Pure.

Knows nothing of when to read. What may be read is a purse: each new call pays so many rows in, each row read takes one
out, and what is saved is bounded, so that a quiet hour does not pay for a storm.

Times are the provider's clock's, in ms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.windows import Window, fewer, merged, second, within

if TYPE_CHECKING:
    from app.message import MessageId

ROWS_A_CALL = 2.9
_PURSE_AT_FIRST = 8.0
_SAVED_FOR_MS = 300_000
"""Only rows of that time count for what may be saved."""
_MOST_WINDOWS = 40
_MOST_RINGING = 50_000
_FEW, _SHOWN_ABOVE, _MISSING_SHARE = 5, 0.9, 0.1
_FORGETS_EVERY_MS = 10_000


@dataclass(frozen=True, slots=True)
class SeenCall:
    """A call that is not over, as a row showed it."""

    place: Window
    """Where its row is found: the second that it names, or, if it names none, what was asked for."""
    is_dated: bool
    """Whether the row named when the call was made."""


class RowsSeen:
    """Of one source."""

    def __init__(self) -> None:
        self.purse = _PURSE_AT_FIRST
        """Rows that may be read."""
        self.is_by_import = False
        """Rows are found by when their call was imported, so all that is known of a place is what was asked for."""
        self._rows: dict[int, int] = {}
        self._newest = self._new = 0
        self._forgot_ms = 0
        self._ringing: dict[MessageId, SeenCall] = {}
        self._places: Counter[Window] = Counter()
        self._foretold = self._seen_over = 0.0

    def __len__(self) -> int:
        """The calls that are known to ring."""
        return len(self._ringing)

    # What rows said

    def rings(self, message_id: MessageId, window: Window, called_ms: int | None) -> None:
        """Notes a call that is not over, by a row that came for that window."""
        known = self._drop(message_id)
        if known is not None or len(self._ringing) < _MOST_RINGING:
            call = SeenCall(self._place(window, called_ms), called_ms is not None)
            self._ringing[message_id] = call
            self._places[call.place] += 1

    def is_over(
        self, message_id: MessageId, window: Window, called_ms: int | None, *, read_to_ms: int
    ) -> None:
        """Notes a call's end. `read_to_ms`: calls made until then were looked for before now."""
        known, place = self._drop(message_id), self._place(window, called_ms)
        foretold = known is not None and bool(within([known.place], place))
        if foretold or place[1] <= read_to_ms:
            self._foretold += foretold
            self._seen_over += 1
            if self._seen_over > 10 * _FEW:
                self._foretold, self._seen_over = self._foretold / 2, self._seen_over / 2

    def judge_places(self, windows: Sequence[Window], came: Collection[MessageId]) -> bool:
        """All rows of these windows came, and these calls ring. Whether too many that should be there were not.

        Then rows are found by another time than that of the call.
        """
        if self.is_by_import:
            return False
        expected = [
            message_id
            for message_id, call in self._ringing.items()
            if call.is_dated and any(a <= call.place[0] < b for a, b in windows)
        ]
        missing = sum(message_id not in came for message_id in expected)
        self.is_by_import = missing >= _FEW and missing > _MISSING_SHARE * len(expected)
        return self.is_by_import

    def pay(self, windows: Sequence[Window], called_ms: Collection[int | None]) -> None:
        """All rows of these windows were read; each one's time of the call, None where it had none."""
        dated = Counter(at_ms // 1000 for at_ms in called_ms if at_ms is not None)
        for at, n in dated.items():
            self._rows[at] = max(n, self._rows.get(at, 0))
        self._newest = max(self._newest, *dated, 0)
        most = _PURSE_AT_FIRST + ROWS_A_CALL * self.count_since(windows[-1][1] - _SAVED_FOR_MS)
        self.purse = min(self.purse + ROWS_A_CALL * self._new - len(called_ms), most)
        self._new = 0

    def forget_before(self, since_ms: int) -> None:
        """Nothing that is older waits any more."""
        if abs(since_ms - self._forgot_ms) < _FORGETS_EVERY_MS:
            return
        self._forgot_ms = since_ms
        self._rows = {n: rows for n, rows in self._rows.items() if n >= since_ms // 1000}
        for message_id in [key for key, one in self._ringing.items() if one.place[1] <= since_ms]:
            self._unlist(self._ringing.pop(message_id))

    def _place(self, window: Window, called_ms: int | None) -> Window:
        if called_ms is None or self.is_by_import:
            return window
        return second(called_ms), second(called_ms) + 1_000

    def _drop(self, message_id: MessageId) -> SeenCall | None:
        known = self._ringing.pop(message_id, None)
        if known is None:
            self._new += 1
        else:
            self._unlist(known)
        return known

    def _unlist(self, call: SeenCall) -> None:
        self._places[call.place] -= 1
        if not self._places[call.place]:
            del self._places[call.place]

    # What they tell

    def are_shown_ringing(self) -> bool:
        """Whether rows show calls before their end: nearly all of those found over where rows were read before."""
        return self._seen_over >= _FEW and self._foretold >= _SHOWN_ABOVE * self._seen_over

    def worth_reading(self, window: Window) -> list[Window]:
        """Of the window, where calls are known to ring; all of it, if rows are not shown before a call's end."""
        if not self.are_shown_ringing():
            return [window]
        return fewer(within(self._places, window), _MOST_WINDOWS)

    def ringing(self, window: Window) -> int:
        """How many calls are known to ring that were made in that time."""
        return sum(n for (from_ms, _), n in self._places.items() if window[0] <= from_ms < window[1])

    def count_since(self, from_ms: int) -> int:
        """How many rows there were since then."""
        return sum(self._rows.get(n, 0) for n in range(from_ms // 1000, self._newest + 1))

    def affordable(self, windows: Iterable[Window], rows: float) -> list[Window]:
        """The first of the windows, and of those the first seconds, that hold no more than so many rows."""
        taken: list[Window] = []
        for from_ms, to_ms in windows:
            end_ms = from_ms
            while end_ms < to_ms and (rows := rows - self._rows.get(end_ms // 1000, 0)) >= 0:
                end_ms += 1_000
            if end_ms > from_ms:
                taken.append((from_ms, end_ms))
            if end_ms < to_ms:
                break
        return merged(taken)

    def count(self, windows: Iterable[Window]) -> int:
        """How many rows there are in these, as far as is known."""
        return sum(self._rows.get(n, 0) for a, b in windows for n in range(a // 1000, b // 1000))
