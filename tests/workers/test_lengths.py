"""What a life table tells of calls that were only looked at now and then."""

from __future__ import annotations

import random
from bisect import bisect_right

import pytest

from workers.lengths import LOOKS_MS, Lengths


def follow(lengths: Lengths, length_ms: int, until_ms: int = LOOKS_MS[-1]) -> None:
    """Looks at one call as a sample is looked at, until then."""
    seen_ms = 0
    for look_ms in LOOKS_MS[: bisect_right(LOOKS_MS, until_ms)]:
        if look_ms >= length_ms:
            lengths.was_over(seen_ms, look_ms)
            return
        lengths.rang(seen_ms, look_ms)
        seen_ms = look_ms


@pytest.mark.parametrize("left", (0.75, 0.5, 0.25))
def test_the_age_at_which_a_share_still_rings_is_told(left: float) -> None:
    lengths, chance = Lengths(), random.Random(1)
    for _ in range(250):
        follow(lengths, chance.randint(5_000, 40_000))
    age_ms = lengths.age_ms(left)
    assert age_ms is not None
    assert age_ms == pytest.approx(40_000 - left * 35_000, rel=0.15)


def test_calls_that_still_ring_count_as_far_as_they_were_followed() -> None:
    lengths = Lengths()
    for length_ms in (6_000, *[30_000] * 9):
        follow(lengths, length_ms, until_ms=10_000)
    early_ms = lengths.age_ms(0.95)
    assert early_ms is not None
    assert 5_000 <= early_ms <= 8_000
    assert lengths.age_ms(0.5) is None


def test_nothing_is_told_where_nothing_was_followed() -> None:
    assert Lengths().age_ms(0.5) is None


def test_what_was_learned_long_ago_is_forgotten() -> None:
    lengths = Lengths()
    for _ in range(400):
        follow(lengths, 40_000)
    for _ in range(400):
        follow(lengths, 6_000)
    age_ms = lengths.age_ms(0.5)
    assert age_ms is not None
    assert age_ms <= 8_000
