"""When a failed callback is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.callbacks.schedule import JITTER, next_attempt_ms, parse_retry_after

SCHEDULE = (timedelta(seconds=1), timedelta(seconds=30), timedelta(hours=2))
NOW = datetime(2026, 11, 24, 3, 0, 0, tzinfo=UTC)
NOW_MS = 1_760_000_000_000


def waits_s(attempts: int, retry_after_s: float | None = None) -> list[float]:
    """The waits of two hundred callbacks that failed at the same moment."""
    rng = Random(7)
    found = [next_attempt_ms(SCHEDULE, attempts, NOW_MS, retry_after_s, rng) for _ in range(200)]
    return [(at_ms - NOW_MS) / 1000 for at_ms in found if at_ms is not None]


@pytest.mark.parametrize(("attempts", "wait_s"), ((1, 1), (2, 30), (3, 7200)))
def test_a_wait_is_the_schedule_s_and_spread_beyond_it(attempts: int, wait_s: float) -> None:
    waits = waits_s(attempts)
    assert len(waits) == 200
    assert wait_s <= min(waits)
    assert max(waits) <= wait_s * (1 + JITTER) + 0.001
    assert len(set(waits)) > 100


def test_after_the_last_wait_has_been_used_the_callback_is_dead() -> None:
    assert next_attempt_ms(SCHEDULE, 4, NOW_MS, None, Random(7)) is None
    assert next_attempt_ms(SCHEDULE, 4, NOW_MS, 5, Random(7)) is None
    assert next_attempt_ms((), 1, NOW_MS, None, Random(7)) is None


def test_retry_after_lengthens_a_wait() -> None:
    waits = waits_s(1, retry_after_s=120)
    assert min(waits) >= 120
    assert max(waits) <= 120 * (1 + JITTER) + 0.001


def test_retry_after_never_shortens_a_wait() -> None:
    assert min(waits_s(3, retry_after_s=0)) >= 7200


def test_retry_after_counts_for_an_hour_at_most() -> None:
    assert set(waits_s(1, retry_after_s=86_400)) == {3600}


@pytest.mark.parametrize(
    ("value", "seconds"),
    (
        ("120", 120),
        (" 0 ", 0),
        ("Tue, 24 Nov 2026 03:02:00 GMT", 120),
        ("Tuesday, 24-Nov-26 03:02:00 GMT", 120),
        ("Tue Nov 24 03:02:00 2026", 120),
        ("Tue, 24 Nov 2026 02:00:00 GMT", 0),
        ("9" * 400, 3600),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("Tue, 99 Nov 2026 03:02:00 GMT", None),
        ("Tue, 24 Nov 99999999999 03:02:00 GMT", None),
    ),
)
def test_retry_after_is_read_in_both_forms(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(
    st.one_of(
        st.text(max_size=40),
        st.from_regex(
            r"[A-Z][a-z]{2}, ?-?[0-9]{1,6} [A-Z][a-z]{2} -?[0-9]{1,12} [0-9:.]{0,10} ?[A-Z+0-9-]{0,6}"
        ),
    )
)
def test_whatever_stands_in_retry_after_is_seconds_or_nothing(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0
