"""What one source's rows told so far: how many each second has, which calls still ring, and what may yet be read. Pure.

Knows nothing of when to read. What may be read is a purse: each new row pays so many in, each row read takes one out,
and what is saved is bounded, so that a quiet hour does not pay for a storm.

Times are the provider's clock's, in ms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.windows import Window, fewer, merged, second, within

if TYPE_CHECKING:
    from app.message import MessageId

ROWS_A_CALL = 2.9
_PURSE_AT_FIRST = 12.0
SAVED_FOR_MS = 300_000
"""Only new rows of that time count for what is saved."""
_MOST_WINDOWS = 40
_MOST_RINGING = 50_000
_FEW, _SHOWN_ABOVE = 5, 0.9
_FORGETS_EVERY_MS = 10_000


@dataclass(frozen=True, slots=True)
class SeenCall:
    """A call, as a row showed it."""

    place: Window
    """Where its row is found: the second that it names, or, if it names none, what was asked for."""
    called_ms: int | None
    """What the row said."""
    age_ms: int
    """How old it was when it was last seen."""


class RowsSeen:
    """Of one source."""

    def __init__(self) -> None:
        self.purse = _PURSE_AT_FIRST
        """Rows that may be read."""
        self._rows: dict[int, int] = {}
        self._newest = 0
        self._forgot_ms = 0
        self._ringing: dict[MessageId, SeenCall] = {}
        self._places: Counter[Window] = Counter()
        self._undated: Counter[Window] = Counter()
        self._foretold = self._seen_over = 0.0
        self.is_by_import = False
        """Rows are found by when their call was imported, so all that is known of a place is what was asked for."""

    def __len__(self) -> int:
        """The calls that are known to ring."""
        return len(self._ringing)

    def place(self, window: Window, called_ms: int | None) -> Window:
        """Where a row is found that came for that window.

        A call is made after its import, so rows of a later time than was asked for tell that the provider looks at
        the time of the import.
        """
        if called_ms is not None and called_ms >= window[1]:
            self.is_by_import = True
        if called_ms is None or self.is_by_import:
            return window
        return second(called_ms), second(called_ms) + 1_000

    def rings(self, message_id: MessageId, call: SeenCall) -> SeenCall | None:
        """Notes a call that is not over; as what it was known before. None: it is new."""
        known = self._drop(message_id)
        if known is not None or len(self._ringing) < _MOST_RINGING:
            self._ringing[message_id] = call
            self._places_of(call)[call.place] += 1
        return known if known is not None and known.called_ms == call.called_ms else None

    def is_over(self, message_id: MessageId, call: SeenCall, *, was_read: bool) -> SeenCall | None:
        """Notes a call's end; as what it was known before. `was_read`: whether that place was, before now."""
        known = self._drop(message_id)
        foretold = known is not None and bool(within([known.place], call.place))
        if foretold or was_read:
            self._foretold += foretold
            self._seen_over += 1
            if self._seen_over > 10 * _FEW:
                self._foretold, self._seen_over = self._foretold / 2, self._seen_over / 2
        return known if known is not None and known.called_ms == call.called_ms else None

    def _drop(self, message_id: MessageId) -> SeenCall | None:
        known = self._ringing.pop(message_id, None)
        if known is not None:
            places = self._places_of(known)
            places[known.place] -= 1
            if not places[known.place]:
                del places[known.place]
        return known

    def _places_of(self, call: SeenCall) -> Counter[Window]:
        return self._undated if call.called_ms is None else self._places

    def are_shown_ringing(self) -> bool:
        """Whether rows show calls before their end: nearly all of those found over where rows were read before."""
        return self._seen_over >= _FEW and self._foretold >= _SHOWN_ABOVE * self._seen_over

    def worth_reading(self, window: Window, *, undated: bool = True) -> list[Window]:
        """Of the window, where calls are known to ring; all of it, if rows are not shown before a call's end.

        `undated`: also where one is known that has no time yet. Most of these are queued, and soon found elsewhere.
        """
        if not self.are_shown_ringing():
            return [window]
        places = [*self._places, *self._undated] if undated else self._places
        return fewer(within(places, window), _MOST_WINDOWS)

    def in_second(self, at_ms: int) -> int:
        """How many rows the second has, as far as is known."""
        return self._rows.get(at_ms // 1000, 0)

    def count(self, windows: Iterable[Window]) -> int:
        """How many rows these have, as far as is known."""
        return sum(self._rows.get(n, 0) for a, b in merged(windows) for n in range(a // 1000, b // 1000))

    def count_since(self, from_ms: int) -> int:
        """How many rows there were since then."""
        return sum(self._rows.get(n, 0) for n in range(from_ms // 1000, self._newest + 1))

    def saved(self) -> int:
        """The rows that count for what is saved."""
        return self.count_since(self._newest * 1000 - SAVED_FOR_MS)

    def affordable(self, windows: Iterable[Window], rows: float) -> list[Window]:
        """The first of the windows, and of those the first seconds, that hold no more than so many rows."""
        taken: list[Window] = []
        for from_ms, to_ms in windows:
            end_ms = from_ms
            while end_ms < to_ms and (rows := rows - self.in_second(end_ms)) >= 0:
                end_ms += 1_000
            if end_ms > from_ms:
                taken.append((from_ms, end_ms))
            if end_ms < to_ms:
                break
        return taken

    def pay(self, windows: tuple[Window, ...], rows_at_ms: Iterable[int | None]) -> None:
        """All rows of these windows were read; each one's time of the call, None where it had none."""
        times = list(rows_at_ms)
        seen = Counter(
            at_ms // 1000 for at_ms in times if at_ms is not None
        )  # one without will have its time later
        new = 0
        for at, n in seen.items():
            new += max(0, n - self._rows.get(at, 0))
            self._rows[at] = max(n, self._rows.get(at, 0))
        self._newest = max(self._newest, *seen, 0)
        most = _PURSE_AT_FIRST + ROWS_A_CALL * self.count_since(windows[-1][1] - SAVED_FOR_MS)
        self.purse = min(self.purse + ROWS_A_CALL * new - len(times), most)

    def forget_before(self, since_ms: int) -> None:
        """Nothing that is older waits any more."""
        if abs(since_ms - self._forgot_ms) < _FORGETS_EVERY_MS:
            return
        self._forgot_ms = since_ms
        self._rows = {n: rows for n, rows in self._rows.items() if n >= since_ms // 1000}
        for message_id in [key for key, one in self._ringing.items() if one.place[1] <= since_ms]:
            self._drop(message_id)
