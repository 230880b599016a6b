"""What rows told: where calls ring, what may be read, and what is forgotten."""

from __future__ import annotations

from app.message import MessageId
from workers.rows_seen import ROWS_A_CALL, RowsSeen

WINDOW = (100_000, 160_000)


def ring(seen: RowsSeen, n: int, called_ms: int) -> None:
    seen.rings(MessageId(f"msg_{n}"), WINDOW, called_ms)


def test_a_call_pays_once_and_each_row_costs() -> None:
    seen = RowsSeen()
    before = seen.purse
    for n in range(10):
        ring(seen, n, 120_000 + n)
    seen.pay([WINDOW], [120_000] * 10)
    assert seen.purse == before + 10 * ROWS_A_CALL - 10
    for n in range(10):
        ring(seen, n, 120_000 + n)
    seen.pay([WINDOW], [120_000] * 10)
    assert seen.purse == before + 10 * ROWS_A_CALL - 20


def test_what_is_saved_is_bounded_by_the_rows_of_the_last_minutes() -> None:
    seen = RowsSeen()
    for n in range(1_000):
        ring(seen, n, 120_000)
        seen.pay([WINDOW], [None])
    assert seen.purse < 10


def test_a_call_is_worth_reading_where_it_rings_and_no_longer_when_it_is_over() -> None:
    seen = RowsSeen()
    for n in range(6):
        ring(seen, n, 120_000)
    ring(seen, 9, 130_500)
    for n in range(6):
        seen.is_over(MessageId(f"msg_{n}"), WINDOW, 120_000, read_to_ms=0)
    assert seen.are_shown_ringing()
    assert seen.worth_reading(WINDOW) == [(130_000, 131_000)]
    assert seen.ringing(WINDOW) == len(seen) == 1


def test_what_is_older_than_all_that_waits_is_forgotten() -> None:
    seen = RowsSeen()
    ring(seen, 1, 120_000)
    ring(seen, 2, 150_000)
    seen.pay([WINDOW], [120_000, 150_000])
    seen.forget_before(140_000)
    assert len(seen) == 1
    assert seen.count_since(0) == 1


def test_only_the_first_seconds_are_affordable() -> None:
    seen = RowsSeen()
    seen.pay([WINDOW], [101_000] * 5 + [103_000] * 5 + [105_000] * 5)
    assert seen.affordable([(100_000, 110_000)], 10) == [(100_000, 105_000)]
    assert seen.affordable([(100_000, 104_000), (105_000, 110_000)], 4) == [(100_000, 101_000)]
    assert seen.affordable([(100_000, 110_000)], 15) == [(100_000, 110_000)]
