"""Rate limits to the millisecond, at a clock that the test sets: exact at any rate, and no burst at a window's edge."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.config import ClientConfig, Rate
from app.config.value import rate as rate_of
from app.store.messages import Accepted, Limited, new_message_id
from tests.limits.reference import MS, Reference, Refused, Taken, assert_no_window_has_more
from tests.store.clock import SteppedDesk
from tests.store.desk import ALICE, BOB, CHECKOUT, DELIVERY, LOGIN, draft_of

SCOPES = ("client", "number")
_UNIQUE = itertools.count()


class OneLimit:
    """One limit that nothing has been taken of, asked at the desk's time; the other is wide open and new each time."""

    def __init__(self, desk: SteppedDesk, scope: str, rate: Rate) -> None:
        self._desk, self._scope, self._rate = desk, scope, rate
        self._name = f"n{next(_UNIQUE)}"

    async def ask(self) -> Taken | Refused:
        other = f"n{next(_UNIQUE)}"
        if self._scope == "client":
            client, campaign = (
                replace(CHECKOUT, name=self._name, rate_limit=self._rate),
                replace(LOGIN, name=other),
            )
        else:
            client = replace(CHECKOUT, name=other)
            campaign = replace(LOGIN, name=self._name, per_number_limit=self._rate)
        draft = draft_of(ALICE, client=client, campaign=campaign)
        answer = await self._desk.messages.accept(draft, new_message_id())
        if isinstance(answer, Limited):
            assert answer.scope == self._scope
            return Refused(answer.retry_after_ms)
        assert isinstance(answer, Accepted)
        return Taken(answer.remaining, answer.more_in_ms)

    async def use_up_but(self, left: int) -> Fraction:
        """As if all but so many had been taken this moment; when all would be free again."""
        database, rate = self._desk.db, self._rate
        key = {
            "client": database.key("rate", self._name),
            "number": database.key("number_rate", self._name, database.index.of("number", ALICE)),
        }[self._scope]
        free_at = self._desk.clock.now_ms + (rate.period // MS) * Fraction(rate.burst - left, rate.burst)
        whole, part = divmod(free_at, 1)
        await database.read("SET", key, f"{whole}.{round(part * 10**9):09d}", "EX", 3600)
        return free_at


PERIODS = st.integers(1, 3_000) | st.sampled_from((7_000, 600_000, 86_400_000))
RATES = st.builds(Rate, st.integers(1, 12), PERIODS.map(lambda ms: timedelta(milliseconds=ms)))


@pytest.mark.parametrize("scope", SCOPES)
@settings(
    max_examples=20,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
@given(
    rate=RATES,
    pauses=st.lists(st.sampled_from((0, 0, 0, 0.2, 0.5, 0.99, 1, 1.01, 2, 30)), min_size=15, max_size=30),
)
async def test_a_limit_lets_through_what_exact_arithmetic_does_and_no_more_in_any_window(
    desk: SteppedDesk, scope: str, rate: Rate, pauses: list[float]
) -> None:
    """The pauses are in shares of the time in which one is earned, so that they fall around each edge."""
    await desk.db.read("FLUSHALL")
    limit, taken_ms = OneLimit(desk, scope, rate), []
    exact = Reference(rate, free_at_ms=Fraction(0))
    for pause in pauses:
        await desk.clock.step(round(rate.interval / MS * pause))
        answer = await limit.ask()
        expected = exact.ask(desk.clock.now_ms)
        if isinstance(expected, Taken):
            taken_ms.append(desk.clock.now_ms)
        assert _told_of(scope, answer) == _told_of(scope, expected)
    assert_no_window_has_more(rate, taken_ms)


def _told_of(scope: str, answer: Taken | Refused) -> object:
    """An acceptance tells of the client's limit alone."""
    return answer if scope == "client" or isinstance(answer, Refused) else Taken


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    "written", ("1/24h", "5/10m", "3/1s", "100000/s", "300000/s", "7/1ms", "1000000/1ms", "999983/744h")
)
async def test_any_rate_is_exact_to_the_last_one(desk: SteppedDesk, scope: str, written: str) -> None:
    rate = rate_of(written)
    limit, left = OneLimit(desk, scope, rate), min(10, rate.burst)
    exact = Reference(rate, free_at_ms=await limit.use_up_but(left))
    for _ in range(left):
        assert _told_of(scope, await limit.ask()) == _told_of(scope, exact.ask(desk.clock.now_ms))
    refused = await limit.ask()
    assert refused == exact.ask(desk.clock.now_ms)
    assert isinstance(refused, Refused)
    await desk.clock.step(refused.retry_after_ms - 1)
    assert await limit.ask() == Refused(1)
    await desk.clock.step(1)
    assert isinstance(await limit.ask(), Taken)


async def _taken_of(limit: OneLimit, asked: int) -> int:
    return sum([isinstance(await limit.ask(), Taken) for _ in range(asked)])


@pytest.mark.parametrize("scope", SCOPES)
async def test_twice_the_burst_is_the_most_that_a_period_can_see(desk: SteppedDesk, scope: str) -> None:
    rate = Rate(5, timedelta(seconds=100))
    limit = OneLimit(desk, scope, rate)
    assert await _taken_of(limit, 20) == 5
    each_second = []
    for _ in range(100):
        await desk.clock.step(1000)
        each_second.append(await _taken_of(limit, 3))
    assert [second for second, taken in enumerate(each_second, 1) if taken] == [20, 40, 60, 80, 100]
    assert sum(each_second) == 5


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    "step", (timedelta(hours=-1), timedelta(seconds=-100), timedelta(milliseconds=-200)), ids=str
)
async def test_a_clock_set_back_is_worth_one_more_and_no_second_burst(
    desk: SteppedDesk, scope: str, step: timedelta
) -> None:
    limit = OneLimit(desk, scope, Rate(5, timedelta(seconds=100)))
    assert await _taken_of(limit, 6) == 5
    await desk.clock.step(step // MS)
    assert await _taken_of(limit, 6) == 1
    refused = await limit.ask()
    assert isinstance(refused, Refused)
    assert refused.retry_after_ms <= 20_000
    await desk.clock.step(20_000)
    assert await _taken_of(limit, 6) == 1


async def test_a_refusal_by_one_limit_takes_nothing_of_the_other(desk: SteppedDesk) -> None:
    hourly = Rate(3, timedelta(hours=1))
    few, campaign = replace(CHECKOUT, rate_limit=hourly), replace(LOGIN, per_number_limit=hourly)

    async def accepted(number: str, times: int, *, client: ClientConfig) -> int:
        drafts = [draft_of(number, client=client, campaign=campaign) for _ in range(times)]
        return sum(
            [isinstance(await desk.messages.accept(one, new_message_id()), Accepted) for one in drafts]
        )

    assert await accepted(ALICE, 3, client=DELIVERY) == 3
    assert await accepted(ALICE, 20, client=few) == 0
    assert await accepted(BOB, 2, client=few) == 2, "the number's refusals cost the client nothing"
    assert await accepted("+84901000003", 1, client=few) == 1
    assert await accepted("+84901000004", 20, client=few) == 0
    assert await accepted("+84901000004", 5, client=DELIVERY) == 3, (
        "the client's refusals cost the number nothing"
    )


async def test_a_client_past_its_own_limit_is_told_nothing_of_a_number(desk: SteppedDesk) -> None:
    hourly = Rate(1, timedelta(hours=1))
    few, campaign = (
        replace(CHECKOUT, rate_limit=hourly),
        replace(LOGIN, per_number_limit=Rate(1, timedelta(hours=9))),
    )
    await desk.accept(BOB, client=few, campaign=campaign)
    await desk.accept(ALICE, client=DELIVERY, campaign=campaign)
    told = [
        await desk.messages.accept(draft_of(number, client=few, campaign=campaign), new_message_id())
        for number in (ALICE, "+84901000003")
    ]
    assert told[0] == told[1] == Limited("client", 3_600_000, 1, 3_600_000)
