"""When an export is asked and how far back: few rows a call at any load, and stragglers that make nobody wait."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from app.message import BatchId
from app.store.outcomes import Open
from tests.bench.collect_hour import Hour, waiting_for
from workers.pace import QUICKEST_MS, Pace

MOST_ROWS_A_CALL = 4.0
NOTHING = Open(0, None, (), 0)
HOUR_MS, MINUTE_MS = 3_600_000, 60_000


def pace_of(timeout_ms: int = 10 * MINUTE_MS) -> Pace:
    return Pace(timeout_ms=timeout_ms, margin_ms=3_000)


def waiting(now_ms: int, *sent_ms: int, pace: Pace | None = None) -> Open:
    """What a source that waits for these looks like."""
    return waiting_for(now_ms, sorted(sent_ms), (pace or pace_of()).ages_ms())


@pytest.mark.parametrize(
    ("rate", "late_share", "never_each"),
    ((1 / 60, 0.0, 0), (0.1, 0.05, 0), (1.0, 0.02, 0), (10.0, 0.0, 0), (10.0, 0.02, 0), (10.0, 0.0, 9_000)),
)
def test_few_rows_are_read_for_a_call_at_any_load_also_with_stragglers(
    rate: float, late_share: float, never_each: int
) -> None:
    hour = Hour(rate, late_share, never_each=never_each).run()
    settled = len(hour.delays_ms) + len(hour.late_delays_ms)
    assert settled > 0.8 * rate * hour.length_s
    assert hour.rows / settled <= MOST_ROWS_A_CALL


def test_stragglers_do_not_make_the_others_wait() -> None:
    alone = sorted(Hour(5.0, 0.0).run().delays_ms)
    beside = sorted(Hour(5.0, 0.02, never_each=6_000).run().delays_ms)
    for share in (0.5, 0.95):
        assert beside[int(len(beside) * share)] <= 1.35 * alone[int(len(alone) * share)]


@pytest.mark.parametrize("late_share", (0.0, 0.02))
def test_short_calls_are_told_of_soon_from_the_start_of_a_worker_on(late_share: float) -> None:
    hour = Hour(50.0, late_share, length_s=150, usual_s=(6.0, 6.0)).run()
    delays_ms = sorted(hour.delays_ms)
    assert delays_ms[int(len(delays_ms) * 0.5)] <= 6_000
    assert delays_ms[int(len(delays_ms) * 0.95)] <= 15_000


def test_nothing_is_asked_where_nothing_waits() -> None:
    pace = pace_of()
    for now_ms in range(0, HOUR_MS, 1_000):
        assert pace.due_from_ms(replace(NOTHING, now_ms=now_ms)) is None


def test_the_first_sweep_of_a_worker_looks_for_all_that_waits() -> None:
    assert pace_of().due_from_ms(waiting(HOUR_MS, 1_000, HOUR_MS - 2_000)) == 1_000


def test_a_fresh_call_is_looked_for_soon_however_old_a_straggler_is() -> None:
    pace = pace_of(timeout_ms=24 * HOUR_MS)
    now_ms = 10 * HOUR_MS
    pace.swept(waiting(now_ms, 0), 0, rows=1)
    for _ in range(20):
        now_ms += 20_000
        seen = waiting(now_ms, 0, pace=pace)
        if (from_ms := pace.due_from_ms(seen)) is not None:
            pace.swept(seen, from_ms, rows=0)
    seen = waiting(now_ms + 5_000, 0, now_ms + 1_000, pace=pace)
    assert pace.wait_s(seen) <= 1.0
    later = waiting(now_ms + 25_000, 0, now_ms + 1_000, pace=pace)
    from_ms = pace.due_from_ms(later)
    assert from_ms is not None
    assert now_ms + 25_000 - from_ms <= pace.hot_ms()


def test_one_that_rings_for_ever_does_not_make_a_quiet_source_slow() -> None:
    pace = pace_of(timeout_ms=24 * HOUR_MS)
    pace.swept(waiting(HOUR_MS, 0), 0, rows=1)
    sent_ms, looks = HOUR_MS + 10_000, []
    for now_ms in range(sent_ms, sent_ms + 8_000, 100):
        seen = waiting(now_ms, 0, sent_ms, pace=pace)
        if (from_ms := pace.due_from_ms(seen)) is not None:
            pace.swept(seen, from_ms, rows=1)
            looks.append(now_ms - sent_ms)
    assert looks[0] <= 1_000
    assert len(looks) >= 4


def test_a_lone_straggler_is_looked_for_in_windows_that_grow_rare_as_it_grows_old() -> None:
    pace = pace_of(timeout_ms=24 * HOUR_MS)
    looks = []
    for now_ms in range(1_000, 2 * HOUR_MS, 1_000):
        seen = waiting(now_ms, 0, pace=pace)
        from_ms = pace.due_from_ms(seen)
        if from_ms is not None:
            pace.swept(seen, from_ms, rows=0)
            if from_ms == 0:
                looks.append(now_ms)
    old = [at for at in looks if at > 2 * MINUTE_MS]
    assert 4 <= len(old) <= 12
    assert all(later <= 3.5 * earlier for earlier, later in pairwise(old))


def test_no_message_is_given_up_that_was_not_looked_for_lately() -> None:
    pace = pace_of()
    assert pace.looked_from_ms(0) is None
    pace.swept(waiting(HOUR_MS, HOUR_MS - 11 * MINUTE_MS), HOUR_MS - 11 * MINUTE_MS, rows=0)
    assert pace.looked_from_ms(HOUR_MS) == HOUR_MS - 11 * MINUTE_MS
    assert pace.looked_from_ms(HOUR_MS + 8 * MINUTE_MS) is None
    overdue = waiting(HOUR_MS + 8 * MINUTE_MS, HOUR_MS - 11 * MINUTE_MS, HOUR_MS + 8 * MINUTE_MS, pace=pace)
    assert pace.due_from_ms(overdue) == HOUR_MS - 11 * MINUTE_MS


def test_an_ambiguous_import_is_judged_by_a_sweep_from_its_own_time_on() -> None:
    pace = pace_of()
    sent_ms = HOUR_MS - 5 * MINUTE_MS
    seen = replace(waiting(HOUR_MS, HOUR_MS - 1_000, sent_ms), ambiguous=((BatchId("batch_x"), sent_ms),))
    pace.swept(seen, sent_ms, rows=0)
    later = replace(seen, now_ms=HOUR_MS + QUICKEST_MS // 2)
    assert pace.due_from_ms(later) is None
    assert pace.due_from_ms(later, judge_from_ms=sent_ms) == sent_ms


def test_nothing_is_asked_before_a_call_can_be_over_once_it_is_known_how_long_calls_take() -> None:
    pace, now_ms = pace_of(), 0
    for _ in range(30):
        sent_ms = now_ms
        while now_ms < sent_ms + 20_000 or pace.due_from_ms(waiting(now_ms, sent_ms, pace=pace)) is None:
            seen = waiting(now_ms, sent_ms, pace=pace)
            if (from_ms := pace.due_from_ms(seen)) is not None:
                pace.swept(seen, from_ms, rows=1)
            now_ms += 100
        pace.settled(now_ms, sent_ms, sent_ms)
        pace.swept(waiting(now_ms, sent_ms, pace=pace), sent_ms, rows=1)
        now_ms += 60_000
    assert pace.due_from_ms(waiting(now_ms + 8_000, now_ms, pace=pace)) is None
    assert pace.due_from_ms(waiting(now_ms + 20_000, now_ms, pace=pace)) is not None
