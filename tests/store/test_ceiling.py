"""The ceiling of an hour: never more calls in any sixty minutes, none lost to what was never called, told of once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from app.config import CampaignConfig
from app.store.batches import Batch, Batches, CeilingReached, Nothing
from app.store.campaigns import HourUsed
from tests.store.clock import SteppedDesk, open_stepped_desk
from tests.store.desk import ACCOUNT, ALICE, BOB, LOGIN, OPERATOR, Desk, ids_of, numbers

SCRIPTS = ("lease", "mark_sending", "count_hour", "split", "settle", "expire")

MINUTE_MS, HOUR_MS, SENDING_MS = 60_000, 3_600_000, 15_000
FUSED = replace(LOGIN, max_per_hour=10, batch_size=1, concurrency=100, default_ttl=timedelta(hours=20))


@pytest.fixture
async def desk(store_url: str) -> AsyncIterator[SteppedDesk]:
    """At a time that the test sets."""
    async with open_stepped_desk(store_url) as opened:
        yield opened


async def _called(desk: Desk, campaign: CampaignConfig) -> list[Batch]:
    """Imports until nothing more goes; each is taken."""
    made = []
    while not isinstance(found := await desk.batches.lease(campaign, ACCOUNT), Nothing):
        if isinstance(found, Batch):
            assert await desk.batches.mark_sending(found, lease_ms=SENDING_MS) is not None
            taken = {one: f"call-{one}" for one in ids_of(found)}
            await desk.batches.settle(found, "missing", taken=taken)
            made.append(found)
    return made


async def _news(desk: Desk, campaign: CampaignConfig) -> int | None:
    """What the next lease tells of the ceiling, in percent."""
    found = await desk.batches.lease(campaign, ACCOUNT)
    if isinstance(found, Batch):
        await desk.batches.settle(found, "requeue", "0")
    return found.percent if isinstance(found, CeilingReached) else None


async def _marked(desk: Desk, campaign: CampaignConfig, calls: int) -> list[int]:
    """So many imports of one call; what was told meanwhile, by whichever worker asked."""
    told, workers = [], (desk.batches, Batches(desk.db, "other"))
    while calls:
        found = await workers[calls % 2].lease(campaign, ACCOUNT)
        if isinstance(found, CeilingReached):
            told.append(found.percent)
            continue
        assert isinstance(found, Batch), found
        await desk.batches.mark_sending(found, lease_ms=SENDING_MS)
        await desk.batches.settle(found, "missing", taken={one: f"c-{one}" for one in ids_of(found)})
        calls -= 1
    return told


async def _queue(desk: Desk, count: int, campaign: CampaignConfig = FUSED) -> None:
    for number in numbers(count):
        await desk.accept(number, campaign=campaign)


# Any order -----------------------------------------------------------------------------------------------------------


@dataclass
class Ledger:
    """When each call of an import that may have been taken left."""

    left: dict[str, list[int]] = field(default_factory=dict)

    def most_in_an_hour(self) -> int:
        """In any sixty minutes."""
        moments = sorted(at for each in self.left.values() for at in each)
        return max((sum(at - HOUR_MS < one <= at for one in moments) for at in moments), default=0)


STEPS = st.one_of(
    st.tuples(st.just("lease"), st.integers(0, 3), st.integers(0, SENDING_MS - 1)),
    st.tuples(st.just("lease"), st.integers(0, 3), st.integers(0, SENDING_MS - 1)),
    st.tuples(st.just("settle"), st.integers(0, 5), st.sampled_from((0, 0, 1, 2, 3))),
    st.tuples(
        st.just("wait"),
        st.sampled_from((1_000, 4_900, 31_000, 59_000, 61_000, 600_000, 3_000_000, 3_541_000, 3_600_000)),
        st.just(0),
    ),
)
FATES = ("missing", "requeue", "ambiguous", "split")


async def _any_order(url: str, ceiling: int, size: int, steps: list[tuple[str, int, int]]) -> None:
    campaign = replace(FUSED, max_per_hour=ceiling, batch_size=size)
    ledger, leased, sent = Ledger(), list[Batch](), list[Batch]()
    async with open_stepped_desk(url) as desk:
        await _queue(desk, 60, campaign)
        for does, which, more in steps:
            if does == "wait":
                for one in leased:
                    await desk.batches.renew(one)
                await desk.clock.step(which)
                await desk.batches.recover(most=100)
            elif does == "lease":
                found = await desk.batches.lease(campaign, ACCOUNT)
                if isinstance(found, Batch):
                    leased.append(found)
                if leased and which:  # now and then one waits for its token while others go
                    batch = leased.pop(which % len(leased))
                    marked = await desk.batches.mark_sending(batch, lease_ms=SENDING_MS)
                    if marked is not None and marked[1]:
                        ledger.left[batch.batch_id] = [marked[0] + more] * len(marked[1])
                        sent.append(batch)
            elif sent:
                batch = sent.pop(which % len(sent))
                fate = FATES[more]
                if fate == "split" and len(batch.members) > 1:
                    halves = await desk.batches.split(batch, smaller_from_now=False)
                    leased += halves or ()
                    known = halves is not None
                else:
                    fate = "requeue" if fate == "split" else fate
                    known = await desk.batches.settle(batch, fate, "0") is not None and fate == "requeue"
                if known:
                    del ledger.left[batch.batch_id]
            assert ledger.most_in_an_hour() <= ceiling
        await _all_goes_again(desk, campaign, ceiling)


async def _all_goes_again(desk: SteppedDesk, campaign: CampaignConfig, ceiling: int) -> None:
    """However it stood: an hour and what the counting by minutes costs later, the whole ceiling is free."""
    await desk.clock.step(SENDING_MS + 1)
    await desk.batches.recover(most=100)
    await desk.clock.step(62 * MINUTE_MS)
    hour = await desk.campaigns.hour(campaign.name)
    assert (hour.calls, hour.leased) == (0, 0)
    if await desk.db.read("ZCARD", desk.db.key("turns", campaign.name)):
        assert await _called(desk, replace(campaign, batch_size=ceiling))


@settings(
    max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(st.integers(1, 9), st.integers(1, 5), st.lists(STEPS, min_size=20, max_size=70))
def test_no_sixty_minutes_ever_see_more_calls_than_the_ceiling(
    unsynced_url: str, ceiling: int, size: int, steps: list[tuple[str, int, int]]
) -> None:
    asyncio.run(_any_order(unsynced_url, ceiling, size, steps))


# One by one ----------------------------------------------------------------------------------------------------------


async def test_a_queue_that_was_held_for_hours_does_not_burst_past_the_ceiling(desk: SteppedDesk) -> None:
    await _queue(desk, 35)
    await desk.actions.on_campaign("pause", FUSED.name, OPERATOR)
    await desk.clock.step(5 * HOUR_MS)
    await desk.actions.on_campaign("resume", FUSED.name, OPERATOR)
    gone = []
    for _ in range(4):
        gone.append(len(await _called(desk, FUSED)))
        await desk.clock.step(62 * MINUTE_MS)
    assert gone == [10, 10, 10, 5]


async def test_the_hour_frees_what_left_first_and_the_wait_is_told(desk: SteppedDesk) -> None:
    await _queue(desk, 20)
    assert await _marked(desk, FUSED, 4) == []
    await desk.clock.step(30 * MINUTE_MS)
    assert len(await _called(desk, FUSED)) == 6
    nothing = await desk.no_lease(FUSED)
    assert nothing.held == "ceiling"
    assert nothing.wait_ms is not None
    assert 30 * MINUTE_MS < nothing.wait_ms <= 32 * MINUTE_MS
    assert (await desk.campaigns.status(FUSED, ["checkout"])).reason == "ceiling"
    await desk.clock.step(nothing.wait_ms - 1)
    assert (await desk.no_lease(FUSED)).held == "ceiling"
    await desk.clock.step(1)
    assert len(await _called(desk, FUSED)) == 4


async def test_what_is_leased_holds_its_place_and_gives_it_back_when_nothing_was_sent(
    desk: SteppedDesk,
) -> None:
    pair = replace(FUSED, max_per_hour=2)
    await _queue(desk, 4)
    first, second = await desk.lease(pair), await desk.lease(pair)
    assert (await desk.no_lease(pair)).held == "ceiling"
    assert await desk.campaigns.hour(pair.name) == HourUsed(0, 2, None)
    await desk.batches.settle(first, "requeue", "0")
    third = await desk.lease(pair)
    await desk.make_overdue(second.batch_id)
    await desk.batches.recover(most=10)
    assert [len(one.members) for one in (third, await desk.lease(pair))] == [1, 1]
    assert (await desk.no_lease(pair)).held == "ceiling"


async def test_an_import_of_which_nothing_was_taken_uses_nothing_of_the_hour(desk: SteppedDesk) -> None:
    both = replace(FUSED, max_per_hour=2, batch_size=2)
    await _queue(desk, 2)
    for _ in range(5):
        await desk.batches.settle(await desk.sending(both), "requeue", "0", hold="")
    batch = await desk.sending(both)
    assert (await desk.campaigns.hour(both.name)).calls == 2
    halves = await desk.batches.split(batch, smaller_from_now=False)
    assert halves is not None
    hour = await desk.campaigns.hour(both.name)
    assert (hour.calls, hour.leased) == (0, 2)


async def test_an_ambiguous_import_counts_and_counts_again_when_it_is_sent_again(desk: SteppedDesk) -> None:
    pair = replace(FUSED, max_per_hour=2)
    await _queue(desk, 1)
    batch = await desk.sending(pair)
    await desk.batches.settle(batch, "ambiguous", "read timeout")
    await desk.outcomes.reconcile(batch.batch_id, "retry")
    assert (await desk.campaigns.hour(pair.name)).calls == 1
    await desk.batches.settle(await desk.sending(pair), "ambiguous", "read timeout")
    await desk.accept(ALICE, campaign=pair)
    assert await _news(desk, pair) == 100
    assert (await desk.no_lease(pair)).held == "ceiling"


async def test_what_runs_out_of_time_at_the_ceiling_says_so(desk: SteppedDesk) -> None:
    single = replace(FUSED, max_per_hour=1)
    await desk.accept(ALICE, campaign=single)
    await _called(desk, single)
    late = await desk.accept(BOB, campaign=single, ttl_ms=120_000)
    assert (await desk.no_lease(single)).held == "ceiling"
    await desk.clock.step(121_000)
    assert await desk.batches.expire(single, most=10) == (1, "ceiling")
    assert await desk.state(late) == ("expired", "ceiling")


async def test_four_fifths_and_the_whole_are_told_once_each_over_all_workers_until_much_less_is_used(
    desk: SteppedDesk,
) -> None:
    await _queue(desk, 40)
    assert await _marked(desk, FUSED, 7) == []
    await desk.clock.step(20 * MINUTE_MS)
    assert await _marked(desk, FUSED, 3) == [80]
    assert [await _news(desk, FUSED) for _ in range(3)] == [100, None, None]
    await desk.clock.step(41 * MINUTE_MS + SENDING_MS)  # seven of ten are an hour old
    assert await _news(desk, FUSED) is None
    assert await _marked(desk, FUSED, 7) == [80]
    assert [await _news(desk, FUSED) for _ in range(2)] == [100, None]


@pytest.mark.parametrize(("calls", "percent"), ((8, 80), (10, 100)))
async def test_a_use_that_wavers_by_a_call_is_not_told_of_each_time(
    desk: SteppedDesk, calls: int, percent: int
) -> None:
    await _queue(desk, 30)
    told = []
    for _ in range(calls):
        told += await _marked(desk, FUSED, 1)
        await desk.clock.step(MINUTE_MS)
    told += [said for _ in range(2) if (said := await _news(desk, FUSED))]
    assert told[-1] == percent
    await desk.clock.step((61 - calls) * MINUTE_MS)
    for _ in range(8):
        assert (await desk.campaigns.hour(FUSED.name)).calls == calls - 1
        assert await _marked(desk, FUSED, 1) == []
        assert await _news(desk, FUSED) is None
        await desk.clock.step(MINUTE_MS)


async def test_an_import_that_leaves_at_the_end_of_its_lease_counts_from_then(desk: SteppedDesk) -> None:
    single = replace(FUSED, max_per_hour=1)
    await _queue(desk, 2)
    await desk.clock.step(MINUTE_MS - 1 - desk.clock.now_ms % MINUTE_MS)
    await desk.sending(single)
    await desk.clock.step(SENDING_MS + HOUR_MS - 1)
    assert await _news(desk, single) == 100
    assert (await desk.no_lease(single)).held == "ceiling"


async def test_a_raised_ceiling_lets_go_at_once_and_none_forgets_that_it_held(desk: SteppedDesk) -> None:
    single = replace(FUSED, max_per_hour=1)
    await _queue(desk, 3)
    await _called(desk, single)
    assert (await desk.no_lease(single)).held == "ceiling"
    assert len((await desk.lease(FUSED)).members) == 1
    assert await _news(desk, single) == 100
    assert (await desk.no_lease(single)).held == "ceiling"
    assert len((await desk.lease(replace(single, max_per_hour=0))).members) == 1
    assert (await desk.campaigns.status(single, ["checkout"])).state == "running"


async def test_where_there_is_no_ceiling_no_more_than_the_last_hour_is_kept(desk: SteppedDesk) -> None:
    free = replace(FUSED, max_per_hour=0)
    await _queue(desk, 80)
    for _ in range(80):
        await _marked(desk, free, 1)
        await desk.clock.step(MINUTE_MS)
    assert await desk.db.read("HLEN", desk.db.key("hour", free.name)) <= 62


async def test_calls_made_before_there_was_a_ceiling_count_against_it(desk: SteppedDesk) -> None:
    await _queue(desk, 6)
    await _called(desk, replace(FUSED, max_per_hour=0))
    await desk.accept(ALICE, campaign=FUSED)
    assert await _news(desk, replace(FUSED, max_per_hour=5)) == 100
    assert (await desk.no_lease(replace(FUSED, max_per_hour=5))).held == "ceiling"


@pytest.mark.parametrize("back_ms", (2_000, 300_000, 24 * HOUR_MS))
async def test_a_clock_set_back_frees_nothing_early_and_makes_nobody_wait_out_the_step(
    desk: SteppedDesk, back_ms: int
) -> None:
    single = replace(FUSED, max_per_hour=1)
    await _queue(desk, 1)
    await _called(desk, single)
    await desk.clock.step(-back_ms)
    await desk.accept(BOB, campaign=single)
    assert (await desk.no_lease(single)).held == "ceiling"
    await desk.clock.step(59 * MINUTE_MS)
    assert (await desk.no_lease(single)).held == "ceiling"
    await desk.clock.step(9 * MINUTE_MS)
    assert len((await desk.lease(single)).members) == 1
