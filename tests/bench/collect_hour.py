"""An hour of calls in a few seconds: the collector's own pace, and an export that is a list of rows in this process.

Time is simulated, so Redis and HTTP are left out; what is asked when, and which rows come, is as it would be.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.message import MessageId
from app.store.outcomes import Open
from workers.pace import Pace, Plan
from workers.windows import second

STRAGGLES_MS = 45_000


@dataclass(frozen=True, slots=True, order=True)
class _Call:
    sent_ms: int
    called_ms: int
    ends_ms: int
    n: int

    @property
    def message_id(self) -> MessageId:
        return MessageId(f"msg_{self.n}")


@dataclass(slots=True)
class Hour:
    """`rate`: calls a second, for `load_s`, or all the time, each made `waits_s` after its import.

    Each takes `usual_s`; `late_share` of them `late_s`; every `never_each` never ends. Rows show calls that are queued,
    without a date, and that ring; with `rings` off, only those that have ended. `by_import`: the export's window looks
    at the import. `ahead_ms`: the provider's clock. `anew_at_s`: then another worker collects, which knows nothing.
    """

    rate: float
    late_share: float = 0.0
    never_each: int = 0
    length_s: int = 3_600
    load_s: float | None = None
    timeout_ms: int = 3_600_000
    usual_s: tuple[float, float] = (5.0, 40.0)
    late_s: tuple[float, float] = (60.0, 480.0)
    waits_s: tuple[float, float] = (0.0, 0.0)
    rings: bool = True
    by_import: bool = False
    ahead_ms: int = 0
    anew_at_s: tuple[float, ...] = ()
    rows: int = 0
    requests: int = 0
    given_up: int = 0
    delays_ms: list[int] = field(default_factory=list)
    late_delays_ms: list[int] = field(default_factory=list)
    _calls: list[_Call] = field(default_factory=list)
    _by_window: list[_Call] = field(default_factory=list)
    _windowed_ms: list[int] = field(default_factory=list)

    @property
    def rows_a_call(self) -> float:
        """Read, for each that was settled."""
        return self.rows / max(len(self.delays_ms) + len(self.late_delays_ms), 1)

    @property
    def made(self) -> int:
        """Calls in all."""
        return round(self.rate * (self.load_s or self.length_s))

    def run(self, seed: int = 1) -> Hour:
        """Plays it; the figures are in the fields then."""
        chance = random.Random(seed)
        calls = sorted(self._call(n, chance) for n in range(self.made))
        sent = [one.sent_ms for one in calls]
        self._calls = calls
        self._by_window = sorted(calls, key=self._found_at_ms)
        self._windowed_ms = [self._found_at_ms(one) for one in self._by_window]
        pace = Pace(timeout_ms=self.timeout_ms)
        waits: list[_Call] = []
        now_ms, first, anew_at_s = 0, 0, [*self.anew_at_s]
        while now_ms < self.length_s * 1000 and (first < self.made or waits):
            if anew_at_s and now_ms >= anew_at_s[0] * 1000:
                pace = Pace(timeout_ms=self.timeout_ms)
                anew_at_s.pop(0)
            upto = bisect_right(sent, now_ms)
            for one in calls[first:upto]:
                insort(waits, one)
            first = upto
            waiting = waiting_for(now_ms, [one.sent_ms for one in waits], pace.fresh_ms)
            plan = pace.due(waiting, self.ahead_ms)
            if plan is not None:
                waits = self._sweep(pace, waiting, plan, waits)
            wait_s = pace.wait_s(waiting) if waiting.since_ms is not None else 1.0
            now_ms += round(1000 * wait_s)
        return self

    def _call(self, n: int, chance: random.Random) -> _Call:
        sent_ms = round(n / self.rate * 1000)
        called_ms = sent_ms + round(1000 * chance.uniform(*self.waits_s))
        if self.never_each and n % self.never_each == self.never_each // 2:
            return _Call(sent_ms, called_ms, called_ms + 10**12, n)
        late = chance.random() < self.late_share
        length_s = chance.uniform(*self.late_s) if late else chance.uniform(*self.usual_s)
        return _Call(sent_ms, called_ms, called_ms + round(1000 * length_s), n)

    def _found_at_ms(self, call: _Call) -> int:
        """By the provider's clock."""
        return self._sent_at_ms(call) if self.by_import else second(call.called_ms + self.ahead_ms)

    def _sent_at_ms(self, call: _Call) -> int:
        return second(call.sent_ms + self.ahead_ms)

    def _shown_ms(self, call: _Call, now_ms: int) -> int | None:
        return second(call.called_ms + self.ahead_ms) if call.called_ms <= now_ms else None

    def _sweep(self, pace: Pace, waiting: Open, plan: Plan, waits: list[_Call]) -> list[_Call]:
        now_ms, unsettled = waiting.now_ms, set(waits)
        rows: list[tuple[int | None, bool]] = []
        for window in plan.windows:
            self.requests += 1
            for one in self._rows(window, now_ms):
                rows.append((self._shown_ms(one, now_ms), one.ends_ms <= now_ms))
                if one in unsettled and self._tell(pace, one, now_ms, window):
                    unsettled.discard(one)
        pace.swept(waiting, plan, rows)
        self.rows += len(rows)
        return self._left(waits, unsettled, now_ms, pace.looked_from_ms(now_ms))

    def _rows(self, window: tuple[int, int], now_ms: int) -> list[_Call]:
        first, last = (bisect_left(self._windowed_ms, at_ms) for at_ms in window)
        if not self.rings:
            return [one for one in self._by_window[first:last] if one.ends_ms <= now_ms]
        dated = [one for one in self._by_window[first:last] if one.called_ms <= now_ms]
        first, last = (bisect_left(self._calls, at_ms, key=self._sent_at_ms) for at_ms in window)
        return dated + [one for one in self._calls[first:last] if one.sent_ms <= now_ms < one.called_ms]

    def _tell(self, pace: Pace, call: _Call, now_ms: int, window: tuple[int, int]) -> bool:
        """Whether the call is over."""
        is_over = call.ends_ms <= now_ms
        seen = call.message_id, window, self._shown_ms(call, now_ms)
        if not is_over:
            pace.still_rings(*seen)
        else:
            pace.settled(*seen, sent_ms=call.sent_ms, now_ms=now_ms)
            straggles = call.ends_ms - call.called_ms > STRAGGLES_MS
            (self.late_delays_ms if straggles else self.delays_ms).append(now_ms - call.ends_ms)
        return is_over

    def _left(
        self, waits: Sequence[_Call], unsettled: set[_Call], now_ms: int, looked_ms: int | None
    ) -> list[_Call]:
        left = [one for one in waits if one in unsettled]
        over = [
            one
            for one in left
            if looked_ms is not None and one.sent_ms >= looked_ms and now_ms - one.sent_ms >= self.timeout_ms
        ]
        self.given_up += len(over)
        return [one for one in left if one not in set(over)]


def waiting_for(now_ms: int, sent: Sequence[int], fresh_ms: int) -> Open:
    """What the store says of a source where calls sent at these times, rising, wait."""
    fresh = bisect_left(sent, now_ms - fresh_ms)
    return Open(
        now_ms,
        sent[0] if sent else None,
        (),
        len(sent),
        oldest_fresh_ms=sent[fresh] if fresh < len(sent) else None,
        fresh=len(sent) - fresh,
    )
