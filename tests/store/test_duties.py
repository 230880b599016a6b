"""What one worker at a time does, and what becomes of it when the worker dies."""

from __future__ import annotations

from dataclasses import replace

from app.config import CampaignConfig
from app.store.batches import Batch, Batches
from app.store.duties import beat, keep_duty, take_duty
from tests.store.desk import ACCOUNT, LOGIN, Desk, numbers

SCRIPTS = ("take_duty", "lease", "recover_leases")

ONE_AT_A_TIME = replace(LOGIN, concurrency=1, batch_size=1)


async def test_a_duty_is_one_workers_while_it_lives(desk: Desk) -> None:
    await beat(desk.db, "first")
    assert await keep_duty(desk.db, "collector:main", "first", 5_000)
    assert not await keep_duty(desk.db, "collector:main", "second", 5_000)
    assert await keep_duty(desk.db, "collector:main", "first", 5_000)


async def test_a_duty_of_a_worker_whose_heartbeat_stopped_is_given_to_another(desk: Desk) -> None:
    await beat(desk.db, "first")
    assert await take_duty(desk.db, "making:main", "first", 60_000)
    await _die(desk, "first")
    await beat(desk.db, "second")
    assert await take_duty(desk.db, "making:main", "second", 60_000)
    await beat(desk.db, "first")
    assert not await take_duty(desk.db, "making:main", "first", 60_000)


async def test_a_duty_that_is_taken_is_not_taken_twice_by_one_worker(desk: Desk) -> None:
    await beat(desk.db, "first")
    assert await take_duty(desk.db, "making:main", "first", 60_000)
    assert not await take_duty(desk.db, "making:main", "first", 60_000)


async def test_a_duty_ends_by_itself(desk: Desk) -> None:
    await beat(desk.db, "first")
    await take_duty(desk.db, "making:main", "first", 60_000)
    assert 0 < await desk.db.read("PTTL", desk.db.key("making", "main")) <= 60_000
    assert 0 < await desk.db.read("PTTL", desk.db.key("alive", "first")) <= 3_000


async def test_a_dead_workers_batch_takes_no_place_among_the_imports_under_way(desk: Desk) -> None:
    for number in numbers(2):
        await desk.accept(number)
    batch = await _leased_by(desk, "first", ONE_AT_A_TIME)
    assert await desk.batches.mark_sending(batch, lease_ms=15_000) is not None
    await desk.no_lease(ONE_AT_A_TIME)
    await _die(desk, "first")
    await desk.lease(ONE_AT_A_TIME)


async def test_what_a_dead_worker_had_only_leased_is_queued_again_at_once(desk: Desk) -> None:
    message_id = await desk.accept()
    await _leased_by(desk, "first")
    assert await desk.batches.recover(most=10) == []
    await _die(desk, "first")
    assert [row[2:] for row in await desk.batches.recover(most=10)] == [("requeued", 1)]
    assert await desk.state(message_id) == ("queued", None)


async def test_what_a_stopped_worker_was_sending_is_its_own_until_its_lease_is_over(desk: Desk) -> None:
    await desk.accept()
    batch = await _leased_by(desk, "first")
    assert await desk.batches.mark_sending(batch, lease_ms=15_000) is not None
    await _die(desk, "first")
    assert await desk.batches.recover(most=10) == []


async def test_the_halves_of_a_batch_are_the_same_workers(desk: Desk) -> None:
    for number in numbers(2):
        await desk.accept(number)
    batch = await _leased_by(desk, "first")
    await desk.batches.mark_sending(batch, lease_ms=15_000)
    assert await desk.batches.split(batch, smaller_from_now=False) is not None
    assert await desk.batches.recover(most=10) == []
    await _die(desk, "first")
    assert [row[2:] for row in await desk.batches.recover(most=10)] == [("requeued", 1)] * 2


async def _leased_by(desk: Desk, worker: str, campaign: CampaignConfig = LOGIN) -> Batch:
    await beat(desk.db, worker)
    batch = await Batches(desk.db, worker).lease(campaign, ACCOUNT)
    assert isinstance(batch, Batch)
    return batch


async def _die(desk: Desk, worker: str) -> None:
    await desk.db.read("DEL", desk.db.key("alive", worker))
