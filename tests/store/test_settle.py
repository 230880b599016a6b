"""Settling a batch: each member's fate, written once, and what an ambiguous import leaves possible."""

from __future__ import annotations

import pytest

from tests.store.desk import ALICE, BOB, LOGIN, SOURCE, Desk, ids_of, numbers

SCRIPTS = ("settle", "reconcile", "expire", "cancel")


async def test_taken_messages_are_submitted_and_their_codes_are_gone(desk: Desk) -> None:
    message_id = await desk.accept()
    batch = await desk.sending()
    assert await desk.field(message_id, "c") is not None
    tally = await desk.batches.settle(batch, "missing", taken={message_id: "call-1"})
    assert tally is not None
    assert (tally.taken, tally.rejected, tally.requeued, tally.ambiguous) == (1, 0, 0, 0)
    assert await desk.state(message_id) == ("submitted", None)
    assert await desk.field(message_id, "c") is None
    assert (await desk.outcomes.open(SOURCE)).count == 1
    assert await desk.names("b") == []


async def test_a_contact_that_the_answer_does_not_name_is_rejected(desk: Desk) -> None:
    taken, missing = await desk.accept(ALICE), await desk.accept(BOB)
    await desk.batches.settle(await desk.sending(), "missing", taken={taken: "1"})
    assert await desk.state(missing) == ("rejected", "not_accepted")
    assert await desk.events_of(missing) == ["message.rejected"]


async def test_a_contact_that_was_refused_alone_is_rejected_with_that_reason(desk: Desk) -> None:
    message_id = await desk.accept()
    await desk.batches.settle(await desk.sending(), "rejected", "invalid_contact")
    assert await desk.state(message_id) == ("rejected", "invalid_contact")


async def test_requeued_messages_are_leased_again_after_the_pause_and_not_before(desk: Desk) -> None:
    message_id = await desk.accept()
    await desk.batches.settle(await desk.sending(), "requeue", "40000")
    wait_ms = (await desk.no_lease()).wait_ms
    assert wait_ms is not None
    assert 35_000 < wait_ms <= 40_000
    assert await desk.state(message_id) == ("queued", None)
    assert await desk.field(message_id, "im") is None
    assert await desk.number_claimed_by() is None


async def test_a_contact_skipped_because_its_number_is_still_being_called_waits_for_that_calls_end(
    desk: Desk,
) -> None:
    earlier = await desk.submitted(call_id="call-1")
    later = await desk.accept()
    tally = await desk.batches.settle(await desk.sending(), "missing")
    assert tally is not None
    assert tally.requeued == 1
    assert await desk.state(later) == ("queued", None)
    await desk.no_lease()
    await desk.row(call_id="call-1")
    assert await desk.state(earlier) == ("answered", None)
    assert ids_of(await desk.lease()) == [later]


async def test_a_ringing_row_does_not_end_the_wait_for_the_earlier_call(desk: Desk) -> None:
    await desk.submitted(call_id="call-1")
    await desk.accept()
    await desk.batches.settle(await desk.sending(), "missing")
    assert (await desk.row(call_id="call-1", state=10)).fate == "waiting"
    await desk.no_lease()
    assert await desk.names("parked") != []


async def test_ambiguous_messages_keep_their_numbers_and_are_never_leased(desk: Desk) -> None:
    first = await desk.accept()
    batch = await desk.sending()
    await desk.accept()
    tally = await desk.batches.settle(batch, "ambiguous", "read timeout")
    assert tally is not None
    assert tally.ambiguous == 1
    await desk.no_lease()
    assert await desk.number_claimed_by() == first
    assert await desk.state(first) == ("submitting", None)


async def test_an_ambiguous_import_not_found_is_sent_again_where_the_campaign_allows_it(desk: Desk) -> None:
    message_id = await desk.accept()
    batch = await desk.sending()
    await desk.batches.settle(batch, "ambiguous", "read timeout")
    assert await desk.outcomes.campaign_of(batch.batch_id) == "login-otp"
    assert await desk.outcomes.reconcile(batch.batch_id, "retry") == (1, 0)
    assert ids_of(await desk.lease()) == [message_id]
    assert await desk.outcomes.reconcile(batch.batch_id, "retry") is None


async def test_an_ambiguous_import_not_found_is_given_up_where_the_campaign_says_so(desk: Desk) -> None:
    message_id = await desk.accept()
    batch = await desk.sending()
    await desk.batches.settle(batch, "ambiguous", "read timeout")
    assert await desk.outcomes.reconcile(batch.batch_id, "give_up") == (0, 1)
    assert await desk.state(message_id) == ("undetermined", "ambiguous_import")


async def test_an_expired_message_of_an_ambiguous_import_is_not_sent_again(desk: Desk) -> None:
    message_id = await desk.accept()
    batch = await desk.sending()
    await desk.batches.settle(batch, "ambiguous", "read timeout")
    await desk.make_expired_in_hand(message_id)
    assert await desk.outcomes.reconcile(batch.batch_id, "retry") == (0, 1)
    assert await desk.state(message_id) == ("undetermined", "ambiguous_import")


@pytest.mark.parametrize("end", ("expiry", "missing", "rejected"))
async def test_after_an_ambiguous_import_a_message_never_ends_as_if_no_phone_had_rung(
    desk: Desk, end: str
) -> None:
    message_id = await desk.accept()
    batch = await desk.sending()
    await desk.batches.settle(batch, "ambiguous", "read timeout")
    await desk.outcomes.reconcile(batch.batch_id, "retry")
    assert await desk.messages.cancel(message_id, "checkout") == "too late"
    if end == "expiry":
        await desk.make_expired(message_id)
        await desk.batches.expire(LOGIN, most=10)
    else:
        await desk.batches.settle(await desk.sending(), end, "invalid_contact")
    assert await desk.state(message_id) == ("undetermined", "ambiguous_import")


async def test_an_answer_that_names_only_some_leaves_only_the_others_ambiguous(desk: Desk) -> None:
    named, other = await desk.accept(ALICE), await desk.accept(BOB)
    batch = await desk.sending()
    tally = await desk.batches.settle(batch, "ambiguous", "counts differ", taken={named: "1"})
    assert tally is not None
    assert (tally.taken, tally.ambiguous) == (1, 1)
    assert (await desk.state(named), await desk.state(other)) == (("submitted", None), ("submitting", None))
    assert await desk.outcomes.reconcile(batch.batch_id, "retry") == (1, 0)
    assert (await desk.state(named), await desk.state(other)) == (("submitted", None), ("queued", None))


@pytest.mark.parametrize("fate", ("missing", "ambiguous", "rejected", "requeue"))
@pytest.mark.parametrize("taken", (False, True))
async def test_of_a_batch_that_was_never_sent_nothing_was_taken_refused_or_may_have_rung(
    desk: Desk, fate: str, taken: bool
) -> None:
    message_id = await desk.accept()
    batch = await desk.lease()
    before = await desk.dump()
    settled = await desk.batches.settle(batch, fate, "0", taken={message_id: "call-1"} if taken else {})
    if fate == "requeue" and not taken:
        assert settled is not None
        assert await desk.state(message_id) == ("queued", None)
    else:
        assert settled is None
        assert await desk.dump() == before


async def test_three_lone_refusals_with_no_success_between_hold_the_campaign(desk: Desk) -> None:
    for i, number in enumerate(numbers(3)):
        assert (await desk.campaigns.status(LOGIN, ["checkout"])).state == "running", i
        await desk.accept(number)
        batch = await desk.sending()
        await desk.batches.settle(batch, "rejected", "invalid_contact", lone=True, probe_after_ms=60_000)
    status = await desk.campaigns.status(LOGIN, ["checkout"])
    assert (status.state, status.reason) == ("held", "campaign_invalid")


async def test_a_success_between_lone_refusals_starts_the_count_again(desk: Desk) -> None:
    for number in numbers(4):
        await desk.accept(number)
        await desk.batches.settle(await desk.sending(), "rejected", "invalid_contact", lone=True)
        taken = await desk.accept("+84903" + number[-6:])
        batch = await desk.sending()
        await desk.batches.settle(batch, "missing", taken={taken: number[-4:]}, hold="release")
    assert (await desk.campaigns.status(LOGIN, ["checkout"])).state == "running"


async def test_each_refusal_of_a_held_campaign_is_counted(desk: Desk) -> None:
    await desk.accept()
    for made in range(3):
        assert (await desk.batches.hold_of("login-otp")).probes == made
        await desk.batches.settle(await desk.sending(), "requeue", "0", hold="campaign_stopped")


async def test_a_message_is_cancelled_by_its_client_alone_and_only_while_queued(desk: Desk) -> None:
    message_id = await desk.accept()
    assert await desk.messages.cancel(message_id, "delivery") == "unknown"
    assert await desk.messages.cancel("msg_none", "checkout") == "unknown"
    assert await desk.state(message_id) == ("queued", None)
    assert await desk.messages.cancel(message_id, "checkout") == "cancelled"
    assert await desk.state(message_id) == ("cancelled", "requested")
    assert await desk.messages.cancel(message_id, "checkout") == "cancelled"
    assert await desk.events_of(message_id) == ["message.cancelled"]
    await desk.no_lease()


async def test_a_leased_message_is_not_cancelled(desk: Desk) -> None:
    message_id = await desk.accept()
    await desk.lease()
    before = await desk.dump()
    assert await desk.messages.cancel(message_id, "checkout") == "too late"
    assert await desk.dump() == before


async def test_a_parked_message_can_be_cancelled_and_leaves_nobody_waiting_for_it(desk: Desk) -> None:
    first = await desk.submitted()
    parked = await desk.accept()
    await desk.no_lease()
    assert await desk.messages.cancel(parked, "checkout") == "cancelled"
    await desk.row()
    assert await desk.state(first) == ("answered", None)


@pytest.mark.parametrize("why", ("backlog", "paused", "campaign_stopped", "account_locked", "ceiling"))
async def test_an_expired_message_tells_why_it_waited(desk: Desk, why: str) -> None:
    message_id = await desk.accept()
    key = desk.db.key
    if why == "paused":
        await desk.db.read("HSET", key("pause", "login-otp"), "at", 1)
    elif why == "campaign_stopped":
        await desk.batches.settle(await desk.sending(), "requeue", "0", hold=why, probe_after_ms=9000)
    elif why == "account_locked":
        await desk.tokens.lock("main", "worker")
    elif why == "ceiling":
        await desk.db.read("SET", key("ceiling", "login-otp"), 1, "PX", 60_000)
    assert await desk.batches.expire(LOGIN, most=10) == (0, why)
    await desk.make_expired(message_id)
    assert await desk.batches.expire(LOGIN, most=10) == (1, why)
    assert await desk.state(message_id) == ("expired", why)
    assert await desk.events_of(message_id) == ["message.expired"]


async def test_what_is_on_its_way_does_not_expire(desk: Desk) -> None:
    message_id = await desk.accept()
    await desk.sending()
    await desk.make_expired_in_hand(message_id)
    assert (await desk.batches.expire(LOGIN, most=10))[0] == 0
    assert await desk.state(message_id) == ("submitting", None)
