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

STRAGGLES_MS = 45_000


@dataclass(frozen=True, slots=True, order=True)
class _Call:
    called_ms: int
    ends_ms: int
    n: int

    @property
    def message_id(self) -> MessageId:
        return MessageId(f"msg_{self.n}")


@dataclass(slots=True)
class Hour:
    """`rate`: calls a second, for `load_s`, or all the time.

    Each takes `usual_s`; `late_share` of them `late_s`; every `never_each` never ends. With `rings` off, a row shows
    only when its call has ended.
    """

    rate: float
    late_share: float = 0.0
    never_each: int = 0
    length_s: int = 3_600
    load_s: float | None = None
    timeout_ms: int = 3_600_000
    usual_s: tuple[float, float] = (5.0, 40.0)
    late_s: tuple[float, float] = (60.0, 480.0)
    rings: bool = True
    rows: int = 0
    requests: int = 0
    delays_ms: list[int] = field(default_factory=list)
    late_delays_ms: list[int] = field(default_factory=list)

    @property
    def rows_a_call(self) -> float:
        """Read, for each that was settled."""
        return self.rows / max(len(self.delays_ms) + len(self.late_delays_ms), 1)

    def run(self, seed: int = 1) -> Hour:
        """Plays it; the figures are in the fields then."""
        chance = random.Random(seed)
        made = round(self.rate * (self.load_s or self.length_s))
        calls = sorted(self._call(n, chance) for n in range(made))
        called = [one.called_ms for one in calls]
        pace = Pace(timeout_ms=self.timeout_ms)
        waits: list[_Call] = []
        now_ms, first = 0, 0
        while now_ms < self.length_s * 1000 and (first < made or waits):
            upto = bisect_right(called, now_ms)
            for one in calls[first:upto]:
                insort(waits, one)
            first = upto
            waiting = waiting_for(now_ms, [one.called_ms for one in waits])
            plan = pace.due(waiting, 0)
            if plan is not None:
                waits = self._sweep(pace, waiting, plan, waits, calls, called)
            now_ms += round(1000 * (pace.wait_s(waiting, 0) if waiting.since_ms is not None else 1.0))
        return self

    def _call(self, n: int, chance: random.Random) -> _Call:
        at_ms = round(n / self.rate * 1000)
        if self.never_each and n % self.never_each == self.never_each // 2:
            return _Call(at_ms, at_ms + 10**12, n)
        late = chance.random() < self.late_share
        length_s = chance.uniform(*self.late_s) if late else chance.uniform(*self.usual_s)
        return _Call(at_ms, at_ms + round(1000 * length_s), n)

    def _sweep(
        self,
        pace: Pace,
        waiting: Open,
        plan: Plan,
        waits: list[_Call],
        calls: Sequence[_Call],
        called: Sequence[int],
    ) -> list[_Call]:
        now_ms, unsettled = waiting.now_ms, set(waits)
        rows_at: list[int] = []
        for from_ms, to_ms in plan.windows:
            self.requests += 1
            for one in calls[bisect_left(called, from_ms) : bisect_left(called, to_ms)]:
                if one.called_ms > now_ms or (not self.rings and one.ends_ms > now_ms):
                    continue
                rows_at.append(one.called_ms)
                if one not in unsettled:
                    continue
                if one.ends_ms > now_ms:
                    pace.still_rings(one.message_id, now_ms, (from_ms, to_ms), one.called_ms)
                    continue
                pace.settled(one.message_id, now_ms, (from_ms, to_ms), one.called_ms)
                unsettled.discard(one)
                straggles = one.ends_ms - one.called_ms > STRAGGLES_MS
                (self.late_delays_ms if straggles else self.delays_ms).append(now_ms - one.ends_ms)
        pace.swept(plan, rows_at)
        self.rows += len(rows_at)
        looked_ms = pace.looked_from_ms(now_ms)
        return [
            one
            for one in waits
            if one in unsettled
            and (now_ms - one.called_ms < self.timeout_ms or looked_ms is None or one.called_ms < looked_ms)
        ]


def waiting_for(now_ms: int, sent: Sequence[int]) -> Open:
    """What the store says of a source where calls sent at these times, rising, wait."""
    oldest, newest = (sent[0], sent[-1]) if sent else (None, None)
    return Open(now_ms, oldest, (), len(sent), newest_sent_ms=newest)
