"""A campaign that is held, and a batch that waits: who is probed, what is counted, and whose lease goes on."""

from __future__ import annotations

from dataclasses import replace

from app.secret import Secret
from app.store.batches import PROBE_PAUSE_MS
from tests.store.desk import ALICE, BOB, LOGIN, Desk, ids_of, numbers

SCRIPTS = ("renew_lease",)

ONE = replace(LOGIN, batch_size=1)


async def _held(desk: Desk) -> None:
    """Held, with its probe due."""
    await desk.batches.settle(await desk.sending(ONE), "requeue", "0", hold="campaign_stopped")


async def test_a_batch_that_waits_keeps_its_lease_and_one_that_is_sent_or_overdue_does_not(
    desk: Desk,
) -> None:
    for number in numbers(3):
        await desk.accept(number)
    waiting, overdue, sent = await desk.lease(ONE), await desk.lease(ONE), await desk.sending(ONE)
    before = await desk.db.read("ZSCORE", desk.db.key("leases"), waiting.batch_id)
    await desk.db.read("ZINCRBY", desk.db.key("leases"), -1000, waiting.batch_id)
    assert await desk.batches.renew(waiting)
    assert float(await desk.db.read("ZSCORE", desk.db.key("leases"), waiting.batch_id)) >= float(before)
    await desk.make_overdue(overdue.batch_id)
    held = await desk.dump()
    assert not await desk.batches.renew(overdue)
    assert not await desk.batches.renew(sent)
    assert await desk.dump() == held


async def test_a_probe_is_followed_by_another_when_it_was_not_answered_for_seconds(desk: Desk) -> None:
    for number in numbers(3):
        await desk.accept(number)
    await _held(desk)
    assert (await desk.sending()).probe
    nothing = await desk.no_lease()
    assert nothing.held == "campaign_stopped"
    assert nothing.wait_ms is not None
    assert 4_000 < nothing.wait_ms <= PROBE_PAUSE_MS
    await desk.db.read("HSET", desk.db.key("hold", "login-otp"), "next", 1)
    assert (await desk.sending()).probe


async def test_imports_that_were_under_way_when_the_hold_began_do_not_make_its_pause_grow(
    desk: Desk,
) -> None:
    for number in numbers(4):
        await desk.accept(number)
    batches = [await desk.sending(ONE) for _ in range(4)]
    for batch in batches:
        await desk.batches.settle(batch, "requeue", "0", hold="campaign_stopped", probe_after_ms=0)
    assert (await desk.batches.hold_of("login-otp")).probes == 1
    await desk.batches.settle(await desk.sending(), "requeue", "0", hold="campaign_stopped")
    assert (await desk.batches.hold_of("login-otp")).probes == 2


async def test_what_goes_back_to_the_queue_keeps_its_place_in_it(desk: Desk) -> None:
    first = await desk.accept(ALICE)
    batch = await desk.sending(ONE)
    await desk.accept(BOB)
    await desk.batches.settle(batch, "requeue", "0")
    assert ids_of(await desk.lease(ONE)) == [first]


async def test_what_an_ambiguous_import_carried_goes_again_in_its_old_place(desk: Desk) -> None:
    first = await desk.accept(ALICE)
    batch = await desk.sending(ONE)
    await desk.batches.settle(batch, "ambiguous", "read timeout")
    await desk.accept(BOB)
    await desk.outcomes.reconcile(batch.batch_id, "retry")
    assert ids_of(await desk.lease(ONE)) == [first]


async def test_an_account_stays_locked_until_a_token_is_made_and_is_tried_with_one_message(
    desk: Desk,
) -> None:
    for number in numbers(3):
        await desk.accept(number)
    await desk.tokens.lock("main", "worker")
    assert (await desk.no_lease()).held == "account_locked"
    await desk.db.read("HSET", desk.db.key("locked", "main"), "until", 1)
    assert len((await desk.lease()).members) == 1
    assert (await desk.batches.expire(LOGIN, most=10)) == (0, "account_locked")
    assert (await desk.campaigns.status(LOGIN, ["checkout"])).reason == "account_locked"
    await desk.tokens.store("main", Secret.of("x"), None, "worker")
    assert (await desk.campaigns.status(LOGIN, ["checkout"])).state == "running"
    assert len((await desk.lease()).members) == 2
