"""Which rows are read when: few a call at any load, and stragglers that make nobody wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.message import BatchId
from app.store.outcomes import Open
from tests.bench.collect_hour import Hour, waiting_for
from workers.pace import Pace, Plan

MOST_ROWS_A_CALL = 4.0
HOUR_MS, MINUTE_MS = 3_600_000, 60_000
NOTHING = Open(0, None, (), 0)


def pace_of(timeout_ms: int = 10 * MINUTE_MS) -> Pace:
    return Pace(timeout_ms=timeout_ms)


def share(delays_ms: Sequence[int], part: float) -> int:
    return sorted(delays_ms)[int(len(delays_ms) * part)]


@pytest.mark.parametrize("rings", (True, False))
@pytest.mark.parametrize(
    ("rate", "late_share", "never_each"),
    ((1 / 60, 0.0, 0), (1.0, 0.02, 0), (10.0, 0.0, 0), (10.0, 0.01, 0), (10.0, 0.0, 9_000)),
)
def test_few_rows_are_read_for_a_call_at_any_load_also_with_stragglers(
    rate: float, late_share: float, never_each: int, rings: bool
) -> None:
    hour = Hour(rate, late_share, never_each=never_each, rings=rings).run()
    assert len(hour.delays_ms) + len(hour.late_delays_ms) > 0.9 * hour.made
    assert hour.rows_a_call <= MOST_ROWS_A_CALL
    if rate >= 1:
        assert hour.rows_a_call <= 3.0
        assert share(hour.delays_ms, 0.5) <= 15_000
        assert share(hour.delays_ms, 0.95) <= 45_000


@pytest.mark.parametrize("rings", (True, False))
@pytest.mark.parametrize(
    ("rate", "load_s", "late_share"),
    ((50.0, 40, 0.02), (50.0, 40, 0.01), (100.0, 10, 0.02), (200.0, 60, 0.01)),
)
def test_a_burst_that_is_over_costs_no_more(rate: float, load_s: int, late_share: float, rings: bool) -> None:
    burst = Hour(
        rate, late_share, load_s=load_s, timeout_ms=10 * MINUTE_MS, length_s=1_500, rings=rings
    ).run()
    assert burst.rows_a_call <= MOST_ROWS_A_CALL
    assert share(burst.delays_ms, 0.5) <= 25_000


@pytest.mark.parametrize("rings", (True, False))
def test_calls_that_all_take_the_same_time_are_read_hardly_twice(rings: bool) -> None:
    burst = Hour(50.0, load_s=40, usual_s=(6.0, 6.0), rings=rings).run()
    assert burst.rows_a_call <= 2.0
    assert share(burst.delays_ms, 0.95) <= 8_000


def test_a_lone_call_is_found_within_half_its_length() -> None:
    for length_s in (2.0, 6.0, 20.0, 50.0):
        lone = Hour(1.0, load_s=1, usual_s=(length_s, length_s)).run()
        [delay_ms] = lone.delays_ms + lone.late_delays_ms
        assert delay_ms <= 500 * length_s + 2_000


def test_stragglers_are_found_before_they_are_given_up() -> None:
    hour = Hour(10.0, 0.02, timeout_ms=20 * MINUTE_MS).run()
    assert hour.given_up == 0
    assert share(hour.late_delays_ms, 0.5) <= 5 * MINUTE_MS


def test_stragglers_do_not_make_the_others_wait() -> None:
    alone, beside = Hour(5.0).run(), Hour(5.0, 0.02, never_each=6_000).run()
    for part in (0.5, 0.95):
        assert share(beside.delays_ms, part) <= 2.5 * share(alone.delays_ms, part)


@pytest.mark.parametrize("ahead_ms", (0, 300_000, -300_000))
@pytest.mark.parametrize("by_import", (False, True))
def test_calls_of_few_lines_are_found_whatever_the_export_looks_at(by_import: bool, ahead_ms: int) -> None:
    hour = Hour(1.0, waits_s=(1.0, 90.0), by_import=by_import, ahead_ms=ahead_ms, length_s=1_200).run()
    assert len(hour.delays_ms) > 0.75 * hour.made  # the last have not ended yet
    assert share(hour.delays_ms, 0.5) <= 60_000


def test_nothing_is_asked_where_nothing_waits() -> None:
    pace = pace_of()
    for now_ms in range(0, HOUR_MS, 1_000):
        assert pace.due(replace(NOTHING, now_ms=now_ms), 0) is None


def test_a_quiet_source_is_asked_seldom() -> None:
    quiet = Hour(1.0, load_s=1, never_each=1, timeout_ms=HOUR_MS).run()
    assert quiet.requests <= 450


def test_the_first_plan_of_a_worker_reads_all_that_waits() -> None:
    plan = pace_of().due(waiting_for(HOUR_MS, [HOUR_MS - 400_000, HOUR_MS - 2_000]), 0)
    assert plan is not None
    assert plan.windows[0][0] <= HOUR_MS - 400_000
    assert plan.windows[-1][1] >= HOUR_MS


def test_windows_are_whole_seconds_of_the_providers_clock() -> None:
    pace, ahead_ms = pace_of(), 123_456
    plans: list[Plan] = []
    for now_ms in range(HOUR_MS, HOUR_MS + 60_000, 100):
        if (plan := pace.due(waiting_for(now_ms, [HOUR_MS]), ahead_ms)) is not None:
            plans.append(plan)
            pace.swept(plan, [])
    assert plans
    for plan in plans:
        assert all(at_ms % 1_000 == 0 for window in plan.windows for at_ms in window)
        assert plan.windows[-1][1] <= plan.at_ms + 4_000
        assert plan.at_ms - plan.asked_at_ms == ahead_ms


def test_no_message_is_given_up_that_was_not_looked_for_lately() -> None:
    pace = pace_of()
    assert pace.looked_from_ms(0) is None
    overdue = waiting_for(HOUR_MS, [HOUR_MS - 11 * MINUTE_MS])
    plan = pace.due(overdue, 0)
    assert plan is not None
    assert plan.whole_from_ms == HOUR_MS - 11 * MINUTE_MS
    assert pace.looked_from_ms(HOUR_MS) is None
    pace.swept(plan, [])
    assert pace.looked_from_ms(HOUR_MS) == HOUR_MS - 11 * MINUTE_MS
    assert pace.looked_from_ms(HOUR_MS + 8 * MINUTE_MS) is None
    again = pace.due(replace(overdue, now_ms=HOUR_MS + 8 * MINUTE_MS), 0)
    assert again is not None
    assert again.whole_from_ms == HOUR_MS - 11 * MINUTE_MS


def test_an_ambiguous_import_is_judged_by_a_read_of_all_since_its_own_time() -> None:
    pace, sent_ms = pace_of(), HOUR_MS - 5 * MINUTE_MS
    seen = replace(
        waiting_for(HOUR_MS, [HOUR_MS - 1_000]), oldest_sent_ms=sent_ms, ambiguous=((BatchId("b"), sent_ms),)
    )
    plan = pace.due(seen, 0, judge_from_ms=sent_ms)
    assert plan is not None
    assert plan.whole_from_ms == sent_ms
    assert plan.windows[0][0] <= sent_ms - 3_000
    assert plan.windows[0][1] >= HOUR_MS + 3_000
