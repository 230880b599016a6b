"""An hour of calls in a few seconds: the collector's own pace, and an export that is a list of rows in this process.

Time is simulated, so Redis and HTTP are left out; what is asked when, and which rows come, is as it would be.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from app.store.outcomes import Open
from workers.pace import Pace

MARGIN_MS = 3_000


@dataclass(slots=True)
class Hour:
    """`rate`: calls a second. Each takes `usual_s`; `late_share` of them 1 to 8 min; every `never_each` never ends."""

    rate: float
    late_share: float
    never_each: int = 0
    length_s: int = 3_600
    timeout_ms: int = 3_600_000
    usual_s: tuple[float, float] = (5.0, 40.0)
    rows: int = 0
    sweeps: int = 0
    delays_ms: list[int] = field(default_factory=list)
    late_delays_ms: list[int] = field(default_factory=list)

    def run(self, seed: int = 1) -> Hour:
        """Plays it; the figures are in the fields then."""
        chance = random.Random(seed)
        calls = sorted(self._call(n, chance) for n in range(round(self.rate * self.length_s)))
        called = [at for at, _ in calls]
        pace = Pace(timeout_ms=self.timeout_ms, margin_ms=MARGIN_MS)
        waits: list[tuple[int, int]] = []
        now_ms, first = 0, 0
        while now_ms < self.length_s * 1000:
            upto = bisect_right(called, now_ms)
            for one in calls[first:upto]:
                insort(waits, one)
            first = upto
            waiting = waiting_for(now_ms, [at for at, _ in waits], pace.ages_ms())
            from_ms = pace.due_from_ms(waiting)
            if from_ms is not None:
                waits = self._sweep(pace, waiting, from_ms, waits, called)
            now_ms += round(1000 * (pace.wait_s(waiting) if waiting.since_ms is not None else 1.0))
        return self

    def _call(self, n: int, chance: random.Random) -> tuple[int, int]:
        at_ms = round(n / self.rate * 1000)
        if self.never_each and n % self.never_each == self.never_each // 2:
            return at_ms, at_ms + 10**12
        late = chance.random() < self.late_share
        return at_ms, at_ms + round(
            1000 * (chance.uniform(60, 480) if late else chance.uniform(*self.usual_s))
        )

    def _sweep(
        self, pace: Pace, waiting: Open, from_ms: int, waits: list[tuple[int, int]], called: list[int]
    ) -> list[tuple[int, int]]:
        """All calls since then have a row, whether they are over or not."""
        now_ms = waiting.now_ms
        rows = bisect_right(called, now_ms) - bisect_left(called, from_ms - MARGIN_MS)
        left = []
        for at_ms, ends_ms in waits:
            if at_ms < from_ms - MARGIN_MS or ends_ms > now_ms:
                left.append((at_ms, ends_ms))
                continue
            pace.settled(now_ms, at_ms, at_ms)
            (self.late_delays_ms if ends_ms - at_ms > 45_000 else self.delays_ms).append(now_ms - ends_ms)
        if rows:
            pace.heard()
        pace.swept(waiting, from_ms, rows)
        self.rows += rows
        self.sweeps += 1
        looked_ms = pace.looked_from_ms(now_ms) or 0
        return [one for one in left if one[0] < looked_ms or now_ms - one[0] < self.timeout_ms]


def waiting_for(now_ms: int, sent: Sequence[int], ages: Sequence[int]) -> Open:
    """What the store says of a source where calls sent at these times, rising, wait."""
    by_age = {}
    for lower, upper in pairwise(ages):
        at = bisect_left(sent, now_ms - upper)
        if at < len(sent) and sent[at] < now_ms - lower:
            by_age[upper] = sent[at]
    fresh = bisect_left(sent, now_ms - ages[0])
    return Open(
        now_ms,
        sent[0] if sent else None,
        (),
        len(sent),
        oldest_fresh_ms=sent[fresh] if fresh < len(sent) else None,
        oldest_by_age=by_age,
    )
