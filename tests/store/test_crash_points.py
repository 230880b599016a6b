"""A worker killed at each point of an import, and one that comes back too late."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.message import State
from app.store.batches import Batch
from tests.store.desk import ALICE, BOB, LOGIN, Desk, ids_of, numbers

SCRIPTS = ("recover_leases", "mark_sending", "split")


async def test_what_was_only_leased_is_queued_again_as_due_as_it_was(desk: Desk) -> None:
    message_id = await desk.accept()
    due = await desk.field(message_id, "du")
    batch = await desk.lease()
    await desk.make_overdue(batch.batch_id)
    assert await desk.batches.recover(most=10) == [(batch.batch_id, "login-otp", "requeued", 1)]
    assert await desk.state(message_id) == ("queued", None)
    assert await desk.field(message_id, "du") == due
    assert await desk.number_claimed_by() is None
    assert ids_of(await desk.lease()) == [message_id]


async def test_what_was_being_sent_is_ambiguous_and_never_blindly_sent_again(desk: Desk) -> None:
    message_id = await desk.accept()
    batch = await desk.sending()
    await desk.make_overdue(batch.batch_id)
    assert await desk.batches.recover(most=10) == [(batch.batch_id, "login-otp", "ambiguous", 1)]
    assert await desk.state(message_id) == ("submitting", None)
    assert await desk.number_claimed_by() == message_id
    assert [one for one, _ in (await desk.outcomes.open("main/c1")).ambiguous] == [batch.batch_id]
    assert (await desk.no_lease()).wait_ms is None


async def test_a_lease_that_is_not_overdue_is_left_to_its_worker(desk: Desk) -> None:
    await desk.accept()
    await desk.lease()
    before = await desk.dump()
    assert await desk.batches.recover(most=10) == []
    assert await desk.dump() == before


async def test_an_end_of_a_lease_frees_its_place_among_the_imports_under_way(desk: Desk) -> None:
    one = replace(LOGIN, concurrency=1, batch_size=1)
    for number in numbers(2):
        await desk.accept(number)
    batch = await desk.lease(one)
    await desk.no_lease(one)
    await desk.make_overdue(batch.batch_id)
    await desk.batches.recover(most=1)
    await desk.lease(one)


async def _stale(desk: Desk, *, marked: bool) -> Batch:
    await desk.accept()
    await desk.accept(BOB)
    batch = await (desk.sending() if marked else desk.lease())
    await desk.make_overdue(batch.batch_id)
    await desk.batches.recover(most=10)
    return batch


@pytest.mark.parametrize("marked", (False, True))
@pytest.mark.parametrize("fate", ("missing", "requeue", "ambiguous", "rejected"))
async def test_a_stale_worker_settles_nothing(desk: Desk, fate: str, marked: bool) -> None:
    batch = await _stale(desk, marked=marked)
    before = await desk.dump()
    taken = {ids_of(batch)[0]: "call-1"}
    lost = await desk.batches.settle(batch, fate, "0", taken=taken, hold="campaign_stopped", lone=True)
    assert lost is None
    assert await desk.dump() == before


@pytest.mark.parametrize("marked", (False, True))
async def test_a_stale_worker_marks_and_splits_nothing(desk: Desk, marked: bool) -> None:
    batch = await _stale(desk, marked=marked)
    before = await desk.dump()
    assert await desk.batches.mark_sending(batch, lease_ms=15_000) is None
    assert await desk.batches.split(batch, smaller_from_now=True) is None
    assert await desk.dump() == before


async def test_a_lease_that_ran_out_is_not_marked_even_before_anyone_took_it_back(desk: Desk) -> None:
    await desk.accept()
    batch = await desk.lease()
    await desk.make_overdue(batch.batch_id)
    before = await desk.dump()
    assert await desk.batches.mark_sending(batch, lease_ms=15_000) is None
    assert await desk.dump() == before


async def test_a_batch_is_marked_once(desk: Desk) -> None:
    await desk.accept()
    batch = await desk.sending()
    assert await desk.batches.mark_sending(batch, lease_ms=15_000) is None


async def test_a_batch_is_settled_once(desk: Desk) -> None:
    message_id = await desk.accept()
    batch = await desk.sending()
    assert await desk.batches.settle(batch, "missing", taken={message_id: "1"}) is not None
    before = await desk.dump()
    assert await desk.batches.settle(batch, "rejected", "invalid_contact") is None
    assert await desk.dump() == before


async def test_the_mark_tells_who_goes_and_leaves_behind_what_expires_meanwhile(desk: Desk) -> None:
    stays = await desk.accept()
    goes = await desk.accept(BOB)
    batch = await desk.lease()
    await desk.make_expired_in_hand(stays)
    marked = await desk.batches.mark_sending(batch, lease_ms=15_000)
    assert marked is not None
    assert marked[1] == {goes}
    assert await desk.state(stays) == (State.QUEUED, None)
    assert await desk.number_claimed_by(ALICE) is None
    assert await desk.batches.expire(LOGIN, most=10) == (1, "backlog")
    assert await desk.state(stays) == ("expired", "backlog")


async def test_a_batch_of_which_nobody_can_go_any_more_is_over(desk: Desk) -> None:
    message_id = await desk.accept()
    batch = await desk.lease()
    await desk.make_expired_in_hand(message_id)
    marked = await desk.batches.mark_sending(batch, lease_ms=15_000)
    assert marked is not None
    assert marked[1] == frozenset()
    assert await desk.names("b") == []
    assert await desk.names("under_way") == []


async def test_the_halves_of_a_batch_have_all_its_members_and_leases_of_their_own(desk: Desk) -> None:
    sent = {await desk.accept(number) for number in numbers(5)}
    batch = await desk.sending()
    halves = await desk.batches.split(batch, smaller_from_now=False)
    assert halves is not None
    assert [len(half.members) for half in halves] == [2, 3]
    assert {one for half in halves for one in ids_of(half)} == sent
    assert {await desk.state(one) for one in sent} == {("submitting", None)}
    assert await desk.batches.settle(batch, "missing") is None
    await desk.make_overdue(halves[1].batch_id)
    assert [row[2:] for row in await desk.batches.recover(most=10)] == [("requeued", 3)]
    marked = await desk.batches.mark_sending(halves[0], lease_ms=15_000)
    assert marked is not None
    assert marked[1] == set(ids_of(halves[0]))


async def test_only_what_was_sent_is_split(desk: Desk) -> None:
    await desk.accept()
    await desk.accept(BOB)
    batch = await desk.lease()
    before = await desk.dump()
    assert await desk.batches.split(batch, smaller_from_now=True) is None
    assert await desk.dump() == before


async def test_a_half_whose_worker_went_away_leaves_no_index_behind_when_it_expires(desk: Desk) -> None:
    sent = [await desk.accept(ALICE), await desk.accept(BOB)]
    halves = await desk.batches.split(await desk.sending(), smaller_from_now=False)
    assert halves is not None
    for half in halves:
        await desk.make_overdue(half.batch_id)
    await desk.batches.recover(most=10)
    for one in sent:
        await desk.make_expired(one)
    assert await desk.batches.expire(LOGIN, most=10) == (2, "backlog")
    for index in await desk.names("calls"):
        assert await desk.db.read("PTTL", index) > 0
