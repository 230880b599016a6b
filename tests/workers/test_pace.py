"""Which rows are read when: few a call at any load, and nobody waits long for what stragglers cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from app.message import BatchId, MessageId
from app.store.outcomes import Open
from tests.bench.collect_hour import Hour, waiting_for
from workers.pace import Pace, Plan

MOST_ROWS_A_CALL = 4.0
HOUR_MS, MINUTE_MS = 3_600_000, 60_000
NOTHING = Open(0, None, (), 0)


def pace_of(timeout_ms: int = 10 * MINUTE_MS) -> Pace:
    return Pace(timeout_ms=timeout_ms)


def waiting(now_ms: int, *sent_ms: int, pace: Pace | None = None) -> Open:
    """What a source that waits for these looks like."""
    return waiting_for(now_ms, sorted(sent_ms), (pace or pace_of()).fresh_ms)


def burst(rate: float, load_s: float, late_share: float, **differs: object) -> Hour:
    """Calls that come all at once, and then no more; given up after ten minutes."""
    hour = Hour(rate, late_share, load_s=load_s, timeout_ms=10 * MINUTE_MS, length_s=1_500)
    return replace(hour, **differs)  # type: ignore[arg-type]


def share(delays_ms: Sequence[int], part: float) -> int:
    return sorted(delays_ms)[int(len(delays_ms) * part)]


@pytest.mark.parametrize("rings", (True, False))
@pytest.mark.parametrize(
    ("rate", "late_share", "never_each"),
    ((1 / 60, 0.0, 0), (0.2, 0.05, 0), (1.0, 0.02, 0), (10.0, 0.0, 0), (10.0, 0.01, 0), (10.0, 0.0, 9_000)),
)
def test_few_rows_are_read_for_a_call_at_any_load_also_with_stragglers(
    rate: float, late_share: float, never_each: int, rings: bool
) -> None:
    hour = Hour(rate, late_share, never_each=never_each, rings=rings).run()
    assert len(hour.delays_ms) + len(hour.late_delays_ms) > 0.95 * hour.made
    assert hour.rows_a_call <= (3.0 if rate >= 1 else MOST_ROWS_A_CALL)
    assert share(hour.delays_ms, 0.5) <= 20_000
    assert share(hour.delays_ms, 0.95) <= (90_000 if rate < 1 else 45_000)


@pytest.mark.parametrize("rings", (True, False))
@pytest.mark.parametrize(
    ("rate", "load_s", "late_share"),
    (
        (20.0, 5, 0.02),
        (50.0, 1, 0.02),
        (50.0, 40, 0.02),
        (100.0, 10, 0.02),
        (200.0, 1, 0.02),
        (200.0, 60, 0.01),
    ),
)
def test_a_burst_that_is_over_costs_no_more(rate: float, load_s: int, late_share: float, rings: bool) -> None:
    over = burst(rate, load_s, late_share, rings=rings).run()
    assert len(over.delays_ms) + len(over.late_delays_ms) == over.made
    assert over.rows_a_call <= MOST_ROWS_A_CALL
    assert share(over.delays_ms, 0.5) <= 20_000
    assert share(over.delays_ms, 0.95) <= 45_000


@pytest.mark.parametrize("rings", (True, False))
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("waits_s", ((0.0, 0.0), (0.0, 60.0)))
def test_few_calls_cost_few_rows_and_none_waits_long(
    waits_s: tuple[float, float], seed: int, rings: bool
) -> None:
    few = burst(12 if waits_s[1] else 0.2, 1 if waits_s[1] else 40, 0.0, waits_s=waits_s, rings=rings).run(
        seed
    )
    assert len(few.delays_ms) == few.made
    assert few.rows_a_call <= MOST_ROWS_A_CALL
    assert max(few.delays_ms) <= 150_000


@pytest.mark.parametrize("rings", (True, False))
@pytest.mark.parametrize(("rate", "load_s", "late_share"), ((0.2, 40, 0.0), (50.0, 1, 0.0), (50.0, 40, 0.02)))
def test_a_worker_that_takes_over_finds_what_the_other_had_begun(
    rate: float, load_s: float, late_share: float, rings: bool
) -> None:
    taken = burst(rate, load_s, late_share, rings=rings, anew_at_s=(20.0, 45.0)).run()
    assert len(taken.delays_ms) + len(taken.late_delays_ms) == taken.made
    assert taken.rows_a_call <= MOST_ROWS_A_CALL + 3  # each of the two reads all that waits some times more
    assert share(taken.delays_ms, 0.9) <= 30_000


@pytest.mark.parametrize("late_share", (0.0, 0.02))
@pytest.mark.parametrize("rings", (True, False))
def test_short_calls_are_told_of_soon_from_the_start_of_a_worker_on(late_share: float, rings: bool) -> None:
    hour = Hour(50.0, late_share, length_s=150, usual_s=(6.0, 6.0), rings=rings).run()
    assert share(hour.delays_ms, 0.5) <= (6_000 if rings else 8_000)
    assert share(hour.delays_ms, 0.95) <= (15_000 if rings else 20_000)


def test_a_lone_call_is_found_within_half_its_length_or_when_it_is_twice_as_old() -> None:
    for length_s in (2.0, 6.0, 20.0, 50.0, 90.0, 200.0):
        lone = Hour(1.0, load_s=1, usual_s=(length_s, length_s)).run()
        [delay_ms] = lone.delays_ms + lone.late_delays_ms
        assert delay_ms <= 1_000 * length_s * (0.5 if length_s <= 20 else 2.5) + 2_000


def test_a_few_stragglers_alone_are_looked_for_at_ages_that_double() -> None:
    few = burst(3, 1, 1.0).run()
    assert len(few.late_delays_ms) == 3
    assert max(few.late_delays_ms) <= 5 * MINUTE_MS
    assert few.rows <= 3 * 8


@pytest.mark.parametrize("rings", (True, False))
def test_stragglers_are_found_before_they_are_given_up(rings: bool) -> None:
    hour = Hour(10.0, 0.01, timeout_ms=20 * MINUTE_MS, rings=rings).run()
    assert hour.given_up == 0
    assert share(hour.late_delays_ms, 0.5) <= 5 * MINUTE_MS


def test_stragglers_do_not_make_the_others_wait() -> None:
    alone, beside = Hour(5.0).run(), Hour(5.0, 0.02, never_each=6_000).run()
    for part in (0.5, 0.95):
        assert share(beside.delays_ms, part) <= 1.35 * share(alone.delays_ms, part)


@pytest.mark.parametrize("rings", (True, False))
@pytest.mark.parametrize("ahead_ms", (0, 300_000, -300_000))
@pytest.mark.parametrize("by_import", (False, True))
def test_calls_of_few_lines_are_found_whatever_the_export_looks_at(
    by_import: bool, ahead_ms: int, rings: bool
) -> None:
    hour = Hour(
        1.0, waits_s=(1.0, 90.0), by_import=by_import, ahead_ms=ahead_ms, length_s=1_200, rings=rings
    ).run()
    assert len(hour.delays_ms) > 0.85 * hour.made  # the last have not ended yet
    assert hour.rows_a_call <= MOST_ROWS_A_CALL
    assert share(hour.delays_ms, 0.5) <= 30_000


def test_nothing_is_asked_where_nothing_waits() -> None:
    pace = pace_of()
    for now_ms in range(0, HOUR_MS, 1_000):
        assert pace.due(replace(NOTHING, now_ms=now_ms), 0) is None


def test_a_quiet_source_is_asked_seldom() -> None:
    quiet = Hour(1.0, load_s=1, never_each=1, timeout_ms=HOUR_MS).run()
    assert quiet.requests <= 350
    assert quiet.rows <= 20


def test_the_first_plan_of_a_worker_reads_all_that_waits() -> None:
    plan = pace_of().due(waiting(HOUR_MS, HOUR_MS - 400_000, HOUR_MS - 2_000), 0)
    assert plan is not None
    assert plan.windows[0][0] <= HOUR_MS - 400_000
    assert plan.windows[-1][1] >= HOUR_MS


def test_no_time_is_left_out_between_two_reads_however_short_calls_are() -> None:
    pace, upto_ms = pace_of(), None
    for now_ms in range(HOUR_MS, HOUR_MS + 10 * MINUTE_MS, 250):
        seen = waiting(now_ms, HOUR_MS, pace=pace)
        plan = pace.due(seen, 0)
        if plan is None or not plan.is_hot:
            continue
        assert upto_ms is None or plan.windows[0][0] <= upto_ms
        upto_ms = now_ms
        pace.settled(
            MessageId(f"{now_ms}"), plan.windows[0], now_ms - 1_000, sent_ms=now_ms - 1_000, now_ms=now_ms
        )
        pace.swept(seen, plan, [(now_ms - 1_000, True)])
    assert upto_ms is not None


def test_windows_are_whole_seconds_of_the_providers_clock() -> None:
    pace, ahead_ms = pace_of(), 123_456
    plans: list[Plan] = []
    for now_ms in range(HOUR_MS, HOUR_MS + 60_000, 100):
        seen = waiting(now_ms, HOUR_MS, pace=pace)
        if (plan := pace.due(seen, ahead_ms)) is not None:
            plans.append(plan)
            pace.swept(seen, plan, [])
    assert plans
    for plan in plans:
        assert all(at_ms % 1_000 == 0 for window in plan.windows for at_ms in window)
        assert plan.windows[-1][1] <= plan.asked_at_ms + ahead_ms + 4_000


def cold_windows(pace: Pace, seen_at: Callable[[int], Open], others: int) -> list[tuple[int, int]]:
    """What is read of older calls in five minutes, where rows show one that rings, and `others` that end at once."""
    known, windows = MessageId("msg_known"), list[tuple[int, int]]()
    for now_ms in range(HOUR_MS, HOUR_MS + 5 * MINUTE_MS, 250):
        seen = seen_at(now_ms)
        if (plan := pace.due(seen, 0)) is None:
            continue
        for n in range(others):
            pace.still_rings(MessageId(f"{now_ms}-{n}"), plan.windows[0], HOUR_MS)
            pace.settled(MessageId(f"{now_ms}-{n}"), plan.windows[0], HOUR_MS, sent_ms=None, now_ms=now_ms)
        pace.still_rings(known, plan.windows[0], HOUR_MS - 2_000)
        pace.swept(seen, plan, [(HOUR_MS - 2_000, False)])
        if not plan.is_hot:
            windows += plan.windows
    return windows


def test_where_all_that_wait_are_known_only_the_seconds_are_read_in_which_one_rings() -> None:
    pace = pace_of()
    windows = cold_windows(pace, lambda now_ms: waiting(now_ms, HOUR_MS, pace=pace), others=6)
    assert windows
    assert set(windows) == {(HOUR_MS - 2_000, HOUR_MS - 1_000)}


def test_a_hidden_call_is_looked_for_everywhere_though_others_are_shown_while_they_ring() -> None:
    pace = pace_of()
    windows = cold_windows(pace, lambda now_ms: waiting(now_ms, HOUR_MS, HOUR_MS + 1, pace=pace), others=6)
    assert any(to_ms - from_ms > 1_000 for from_ms, to_ms in windows)


def test_an_undetermined_message_is_looked_for_everywhere() -> None:
    pace = pace_of()

    def with_late(now_ms: int) -> Open:
        late_ms = HOUR_MS - 30 * MINUTE_MS
        return replace(waiting(now_ms, HOUR_MS, pace=pace), oldest_late_ms=late_ms, newest_late_ms=late_ms)

    windows = cold_windows(pace, with_late, others=6)
    assert any(to_ms - from_ms > 1_000 for from_ms, to_ms in windows)


def test_calls_that_are_missing_where_they_should_be_tell_that_rows_are_found_by_the_import() -> None:
    """Then what was imported long ago may be called now, and only a read of all since then shows a redial."""
    pace, first_ms = pace_of(), HOUR_MS
    for now_ms in range(HOUR_MS, HOUR_MS + 2 * MINUTE_MS, 250):
        seen = waiting(now_ms, first_ms, *range(HOUR_MS - 90_000, HOUR_MS - 80_000, 1_000), pace=pace)
        if (plan := pace.due(seen, 0)) is None:
            continue
        was_first = pace.told_until_ms() is None
        for n in range(10 if was_first else 0):
            pace.still_rings(MessageId(f"msg_{n}"), plan.windows[0], now_ms)
        pace.swept(seen, plan, [(now_ms, False)] * (10 if was_first else 0))
        if not was_first and plan.is_hot:
            break
    assert plan is not None
    assert pace.told_until_ms() != plan.asked_at_ms


def test_no_message_is_given_up_that_was_not_looked_for_lately() -> None:
    pace = pace_of()
    assert pace.looked_from_ms(0) is None
    overdue = waiting(HOUR_MS, HOUR_MS - 11 * MINUTE_MS)
    plan = pace.due(overdue, 0)
    assert plan is not None
    assert plan.whole_from_ms == HOUR_MS - 11 * MINUTE_MS
    assert pace.looked_from_ms(HOUR_MS) is None
    pace.swept(overdue, plan, [])
    assert pace.looked_from_ms(HOUR_MS) == HOUR_MS - 11 * MINUTE_MS
    assert pace.looked_from_ms(HOUR_MS + 8 * MINUTE_MS) is None
    again = pace.due(replace(overdue, now_ms=HOUR_MS + 8 * MINUTE_MS), 0)
    assert again is not None
    assert again.whole_from_ms == HOUR_MS - 11 * MINUTE_MS


def test_an_ambiguous_import_is_judged_by_a_read_of_all_since_its_own_time() -> None:
    pace, sent_ms = pace_of(), HOUR_MS - 5 * MINUTE_MS
    seen = replace(waiting(HOUR_MS, HOUR_MS - 1_000, sent_ms), ambiguous=((BatchId("b"), sent_ms),))
    first = pace.due(seen, 0)
    assert first is not None
    pace.swept(seen, first, [])
    soon = replace(seen, now_ms=HOUR_MS + 250)
    assert pace.due(soon, 0) is None
    plan = pace.due(soon, 0, judge_from_ms=sent_ms)
    assert plan is not None
    assert plan.whole_from_ms == sent_ms
    assert plan.windows[0][0] <= sent_ms - 3_000
    assert plan.windows[0][1] >= HOUR_MS + 3_000


def test_redials_are_told_by_reads_that_reach_to_now_alone() -> None:
    pace = pace_of()
    assert pace.told_until_ms() is None
    sent_ms, told = HOUR_MS, []
    for now_ms in range(sent_ms, sent_ms + 3 * MINUTE_MS, 250):
        seen = waiting(now_ms, sent_ms, pace=pace)
        if (plan := pace.due(seen, 0)) is None:
            continue
        pace.swept(seen, plan, [])
        told.append(pace.told_until_ms() == now_ms)
        assert told[-1] == (plan.windows[-1][1] > now_ms)
    assert True in told
