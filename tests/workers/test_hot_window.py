"""What the hot window learns from one look at many calls."""

from __future__ import annotations

from workers.hot_window import HotWindow


def seen(*ages_ms: int, over_at_ms: int) -> list[tuple[int, bool]]:
    return [(age_ms, age_ms >= over_at_ms) for age_ms in ages_ms]


def test_it_is_as_wide_as_calls_of_that_length_need() -> None:
    window = HotWindow()
    window.saw(seen(*range(0, 60_000, 100), over_at_ms=20_000))
    assert 30_000 <= window.width_ms <= 50_000


def test_calls_that_are_all_old_tell_nothing_of_young_ones() -> None:
    window = HotWindow()
    before_ms = window.width_ms
    window.saw(seen(*range(50_000, 56_000, 100), over_at_ms=20_000))
    assert window.width_ms >= before_ms


def test_few_calls_tell_nothing() -> None:
    window = HotWindow()
    before_ms = window.width_ms
    window.saw(seen(*range(0, 19_000, 1_000), over_at_ms=500))
    assert window.width_ms == before_ms


def test_stragglers_do_not_make_it_wider() -> None:
    window = HotWindow()
    calls = seen(*range(0, 60_000, 100), over_at_ms=20_000)
    window.saw([(age_ms, is_over and n % 50 != 0) for n, (age_ms, is_over) in enumerate(calls)])
    assert 30_000 <= window.width_ms <= 50_000
