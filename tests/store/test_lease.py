"""Leasing: fair to clients, one call a number at a time, and nothing that is held, expired or too much."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from app.store.batches import Batch, CeilingReached, Nothing
from tests.store.desk import (
    ACCOUNT,
    BOB,
    CHECKOUT,
    DELIVERY,
    LOGIN,
    Desk,
    ids_of,
    numbers,
)

SCRIPTS = ("lease",)

PAIRS = replace(LOGIN, batch_size=2)


async def test_one_message_of_one_client_is_in_the_first_batch_beside_a_thousand_of_another(
    desk: Desk,
) -> None:
    await asyncio.gather(*(desk.accept(number) for number in numbers(1000)))
    alone = await desk.accept(client=DELIVERY)
    batch = await desk.lease()
    assert alone in ids_of(batch)
    assert len(batch.members) == LOGIN.batch_size


async def test_clients_take_turns_from_batch_to_batch(desk: Desk) -> None:
    clients = [replace(CHECKOUT, name=name) for name in ("a", "b", "c")]
    for i, number in enumerate(numbers(9)):
        await desk.accept(number, client=clients[i // 3])
    single = replace(LOGIN, batch_size=1)
    taken = [str(await desk.field(ids_of(await desk.lease(single))[0], "cl")) for _ in range(9)]
    assert [sorted(taken[i : i + 3]) for i in (0, 3, 6)] == [["a", "b", "c"]] * 3


async def test_within_a_client_the_oldest_goes_first(desk: Desk) -> None:
    sent = []
    for number in numbers(6):
        sent.append(await desk.accept(number))
        await asyncio.sleep(0.002)
    assert [ids_of(await desk.lease(PAIRS)) for _ in range(3)] == [sent[:2], sent[2:4], sent[4:]]


async def test_a_number_is_never_twice_in_one_import(desk: Desk) -> None:
    sent = [await desk.accept(client=one) for one in (CHECKOUT, DELIVERY, CHECKOUT)]
    batch = await desk.lease()
    assert len(batch.members) == 1
    assert set(ids_of(batch)) < set(sent)
    assert (await desk.no_lease()).wait_ms is None


async def test_a_number_is_never_in_two_batches_that_are_under_way(desk: Desk) -> None:
    for _ in range(3):
        for number in numbers(8):
            await desk.accept(number)
    answers = await asyncio.gather(
        *(desk.batches.lease(replace(LOGIN, batch_size=3), ACCOUNT) for _ in range(8))
    )
    carried = [one.phone_number for batch in answers if isinstance(batch, Batch) for one in batch.members]
    assert sorted(carried) == numbers(8)


async def test_numbers_are_kept_apart_over_the_campaigns_of_an_account(desk: Desk) -> None:
    notices = replace(LOGIN, name="order-notice", campaign_id="c2")
    await desk.submitted()
    await desk.accept(campaign=notices)
    assert isinstance(await desk.batches.lease(notices, ACCOUNT), Nothing)


async def test_a_parked_message_goes_as_soon_as_its_number_is_free(desk: Desk) -> None:
    first = await desk.accept()
    batch = await desk.sending()
    second = await desk.accept()
    assert await desk.no_lease() == Nothing(1)
    assert await desk.no_lease() == Nothing(None)
    await desk.batches.settle(batch, "missing", taken={first: "call-1"})
    assert ids_of(await desk.lease()) == [second]


async def test_a_number_stays_claimed_while_its_call_is_not_known_by_an_id(desk: Desk) -> None:
    first = await desk.submitted(call_id="")
    second = await desk.accept()
    await desk.no_lease()
    assert await desk.number_claimed_by() == first
    await desk.row(state=40)
    assert await desk.number_claimed_by() is None
    assert ids_of(await desk.lease()) == [second]


async def test_a_batch_that_is_not_full_waits_for_the_linger_and_a_full_one_goes_at_once(desk: Desk) -> None:
    slow = replace(PAIRS, linger=timedelta(seconds=30))
    await desk.accept()
    wait_ms = (await desk.no_lease(slow)).wait_ms
    assert wait_ms is not None
    assert 25_000 < wait_ms <= 30_000
    await desk.accept(BOB)
    assert len((await desk.lease(slow)).members) == 2


async def test_a_batch_that_is_not_full_goes_when_the_linger_is_over(desk: Desk) -> None:
    slow = replace(PAIRS, linger=timedelta(milliseconds=60))
    await desk.accept()
    wait_ms = (await desk.no_lease(slow)).wait_ms
    assert wait_ms is not None
    await asyncio.sleep(wait_ms / 1000 + 0.002)
    assert len((await desk.lease(slow)).members) == 1


async def test_concurrency_is_counted_over_all_workers(desk: Desk) -> None:
    two = replace(LOGIN, batch_size=1, concurrency=2)
    for number in numbers(6):
        await desk.accept(number)
    answers = await asyncio.gather(*(desk.batches.lease(two, ACCOUNT) for _ in range(6)))
    batches = [one for one in answers if isinstance(one, Batch)]
    assert len(batches) == 2
    await desk.batches.settle(batches[0], "requeue", "0")
    await desk.lease(two)
    await desk.no_lease(two)


async def test_a_paused_campaign_gives_nothing(desk: Desk) -> None:
    await desk.accept()
    await desk.db.read("HSET", desk.db.key("pause", "login-otp"), "at", 1)
    assert (await desk.no_lease()).held == "paused"
    assert (await desk.campaigns.status(LOGIN, ["checkout"])).state == "paused"
    await desk.db.read("DEL", desk.db.key("pause", "login-otp"))
    await desk.lease()


async def _hold(desk: Desk, probe_after_ms: int) -> None:
    await desk.accept("+84903000000")
    await desk.batches.settle(
        await desk.sending(), "requeue", "0", hold="campaign_stopped", probe_after_ms=probe_after_ms
    )


async def test_a_held_campaign_gives_nothing_before_its_probe_is_due(desk: Desk) -> None:
    await _hold(desk, 60_000)
    nothing = await desk.no_lease()
    assert nothing.held == "campaign_stopped"
    assert nothing.wait_ms is not None
    assert 50_000 < nothing.wait_ms <= 60_000
    status = await desk.campaigns.status(LOGIN, ["checkout"])
    assert (status.state, status.reason, status.queued) == ("held", "campaign_stopped", 1)


async def test_a_held_campaign_gives_one_lone_probe_and_runs_when_it_is_taken(desk: Desk) -> None:
    for number in numbers(5):
        await desk.accept(number)
    held = await desk.sending()
    await desk.batches.settle(held, "requeue", "0", hold="campaign_stopped", probe_after_ms=0)
    probe = await desk.sending()
    assert probe.probe
    assert len(probe.members) == 1
    assert (await desk.no_lease()).held == "campaign_stopped"
    await desk.batches.settle(probe, "missing", taken={ids_of(probe)[0]: "1"}, hold="release")
    batch = await desk.lease()
    assert not batch.probe
    assert len(batch.members) == 4


async def test_a_locked_account_holds_all_its_campaigns(desk: Desk) -> None:
    await desk.accept()
    await desk.tokens.lock("main", "worker")
    assert (await desk.no_lease()).held == "account_locked"


async def test_the_ceiling_is_the_last_fuse_and_frees_itself_after_the_hour(desk: Desk) -> None:
    fused = replace(LOGIN, max_per_hour=3)
    for number in numbers(5):
        await desk.accept(number)
    assert len((await desk.sending(fused)).members) == 3
    assert await desk.batches.lease(fused, ACCOUNT) == CeilingReached(100, 3)
    nothing = await desk.no_lease(fused)
    assert nothing.held == "ceiling"
    assert nothing.wait_ms is not None
    assert 58 * 60_000 < nothing.wait_ms <= 62 * 60_000
    assert (await desk.campaigns.status(fused, ["checkout"])).reason == "ceiling"
    hour = desk.db.key("hour", "login-otp")
    minute = int((await desk.db.read("HKEYS", hour))[0])
    await desk.db.read("HDEL", hour, minute)
    await desk.db.read("HSET", hour, minute - 62, 3)
    assert len((await desk.lease(fused)).members) == 2


async def test_an_expired_message_is_never_leased(desk: Desk) -> None:
    gone = await desk.accept()
    fresh = await desk.accept(BOB)
    await desk.make_expired(gone)
    assert ids_of(await desk.lease()) == [fresh]
    assert await desk.number_claimed_by() is None


async def test_batches_stay_smaller_after_one_was_found_too_large(desk: Desk) -> None:
    for number in numbers(12):
        await desk.accept(number)
    first = await desk.sending(replace(LOGIN, batch_size=8))
    await desk.batches.split(first, smaller_from_now=True)
    assert len((await desk.lease(replace(LOGIN, batch_size=8))).members) == 4


@pytest.mark.parametrize("leasing", (False, True))
async def test_at_most_one_wake_up_a_campaign_is_waiting(desk: Desk, leasing: bool) -> None:
    """A lease makes way for the next wake-up; one that nobody has taken yet is not doubled."""
    for number in numbers(8):
        await desk.accept(number)
        if leasing:
            await desk.lease()
    assert await desk.db.read("LRANGE", desk.db.key("wake"), 0, -1) == [b"login-otp"]


async def test_what_comes_after_a_lease_wakes_again(desk: Desk) -> None:
    await desk.accept()
    await desk.db.read("DEL", desk.db.key("wake"))
    await desk.lease()
    await desk.accept(BOB)
    assert await desk.db.read("LRANGE", desk.db.key("wake"), 0, -1) == [b"login-otp"]


async def test_a_full_queue_is_open_again_as_soon_as_some_left(desk: Desk) -> None:
    small = replace(LOGIN, max_queued=1)
    await desk.accept(campaign=small)
    await desk.lease(small)
    await desk.accept(BOB, campaign=small)
