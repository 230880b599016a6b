"""Rows of an export: whose call each tells of, what it proves, and what it never undoes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from app.message import MessageId
from app.store.batches import Batch
from tests.store.desk import ALICE, BOB, CHECKOUT, SOURCE, Desk, ids_of

SCRIPTS = ("outcome", "time_out")

FAR_MS = 10**15
"""An export that began after everything."""


def now_ms() -> int:
    """By this machine's clock, which is Redis' too."""
    return round(time.time() * 1000)


async def _ambiguous(desk: Desk, *numbers: str) -> tuple[Batch, list[MessageId]]:
    sent = [await desk.accept(number) for number in numbers or (ALICE,)]
    batch = await desk.sending()
    assert set(ids_of(batch)) == set(sent)
    await desk.batches.settle(batch, "ambiguous", "read timeout")
    return batch, sent


@pytest.mark.parametrize(("state", "end"), ((40, ("answered", None)), (50, ("failed", "busy"))))
async def test_a_final_row_settles_the_message_of_its_call_id(
    desk: Desk, state: int, end: tuple[str, str | None]
) -> None:
    message_id = await desk.submitted(call_id="call-1")
    finding = await desk.row(call_id="call-1", state=state)
    assert (finding.fate, finding.message_id, finding.state) == ("settled", message_id, end[0])
    assert finding.campaign == "login-otp"
    assert await desk.state(message_id) == end
    assert await desk.events_of(message_id) == [f"message.{end[0]}"]
    assert (await desk.outcomes.open(SOURCE)).count == 0
    shown = await desk.messages.show(message_id, "checkout")
    assert shown is not None
    assert shown.message.call is not None
    assert shown.message.call.call_id == "call-1"


async def test_a_row_goes_to_the_import_with_its_call_id_and_not_to_an_older_one(desk: Desk) -> None:
    first = await desk.submitted(call_id="call-1")
    second = await desk.submitted(call_id="call-2")
    assert (await desk.row(call_id="call-2")).message_id == second
    assert await desk.state(first) == ("submitted", None)


async def test_a_call_id_is_looked_for_among_the_calls_of_its_number_only(desk: Desk) -> None:
    await desk.submitted(ALICE, call_id="call-1")
    assert (await desk.row(BOB, "call-1")).fate == "unexplained"


async def test_a_row_without_a_known_id_goes_to_the_import_that_lacks_one(desk: Desk) -> None:
    known = await desk.submitted(call_id="call-1")
    lacking = await desk.submitted(call_id="")
    assert (await desk.row(call_id="call-9")).message_id == lacking
    assert await desk.state(known) == ("submitted", None)
    assert (await desk.row(call_id="call-9")).fate == "known"


async def test_of_two_imports_that_lack_an_id_the_older_one_gets_the_row(desk: Desk) -> None:
    first = await desk.submitted(call_id="")
    assert await desk.outcomes.time_out(SOURCE, timeout_ms=-1, most=10, asked_at_ms=FAR_MS) == [
        (first, "undetermined", "login-otp")
    ]
    await asyncio.sleep(0.002)
    second = await desk.submitted(call_id="")
    assert (await desk.row(call_id="a")).message_id == first
    assert (await desk.row(call_id="b")).message_id == second


async def test_a_row_from_before_the_import_is_not_its_call_save_for_the_clocks_tolerance(desk: Desk) -> None:
    message_id = await desk.submitted(call_id="")
    before = await desk.now_ms() - 5000
    assert (await desk.row(called_at_ms=before)).fate == "unexplained"
    assert (await desk.row(called_at_ms=before, tolerance_ms=2000)).fate == "unexplained"
    assert await desk.state(message_id) == ("submitted", None)
    assert (await desk.row(called_at_ms=before, tolerance_ms=6000)).message_id == message_id


async def test_a_row_that_is_not_final_leaves_the_message_waiting_and_teaches_its_call_id(desk: Desk) -> None:
    message_id = await desk.submitted(call_id="")
    assert (await desk.row(call_id="call-1", state=10)).fate == "waiting"
    assert await desk.state(message_id) == ("submitted", None)
    assert await desk.number_claimed_by() is None
    assert (await desk.row(call_id="call-1")).message_id == message_id


async def test_repeated_rows_change_nothing(desk: Desk) -> None:
    await desk.answered()
    before = await desk.dump()
    for state in (40, 50, 10):
        assert (await desk.row(call_id=f"call-{ALICE[-4:]}", state=state)).fate == "known"
    assert await desk.dump() == before


async def test_rows_that_nothing_explains_change_nothing(desk: Desk) -> None:
    await desk.submitted(ALICE, call_id="call-1")
    before = await desk.dump()
    assert (await desk.row(BOB, "x")).fate == "unexplained"
    assert (await desk.row(ALICE, "x")).fate == "unexplained"
    assert await desk.dump() == before


async def test_a_row_before_the_imports_answer_waits_for_that_answer(desk: Desk) -> None:
    message_id = await desk.accept()
    batch = await desk.sending()
    assert (await desk.row(call_id="call-1")).fate == "waiting"
    assert await desk.batches.settle(batch, "missing", taken={message_id: "call-1"}) is not None
    assert (await desk.row(call_id="call-1")).fate == "settled"


async def test_one_row_proves_that_a_whole_ambiguous_batch_was_taken(desk: Desk) -> None:
    batch, (found, other) = await _ambiguous(desk, ALICE, BOB)
    assert (await desk.row(ALICE, "call-1")).message_id == found
    assert await desk.state(found) == ("answered", None)
    assert await desk.state(other) == ("submitted", None)
    assert await desk.number_claimed_by(BOB) == other
    assert (await desk.outcomes.open(SOURCE)).ambiguous == ()
    assert await desk.outcomes.reconcile(batch.batch_id, "retry") is None
    assert (await desk.row(BOB, "call-2")).message_id == other


async def test_of_a_batch_whose_answer_named_some_a_row_proves_its_own_member_alone(desk: Desk) -> None:
    named, found, other = [await desk.accept(number) for number in (ALICE, BOB, "+84901000003")]
    batch = await desk.sending()
    await desk.batches.settle(batch, "ambiguous", "counts differ", taken={named: "1"})
    assert (await desk.row(BOB, "2")).message_id == found
    assert await desk.state(other) == ("submitting", None)
    assert await desk.outcomes.reconcile(batch.batch_id, "retry") == (1, 0)
    assert await desk.state(other) == ("queued", None)


async def test_a_row_of_an_import_given_up_for_lost_takes_the_retry_out_of_the_queue(desk: Desk) -> None:
    batch, (message_id,) = await _ambiguous(desk)
    await desk.outcomes.reconcile(batch.batch_id, "retry")
    assert (await desk.row(call_id="late", state=10)).message_id == message_id
    assert await desk.state(message_id) == ("submitted", None)
    await desk.no_lease()
    assert (await desk.row(call_id="late")).fate == "settled"


async def test_a_late_row_without_an_id_claims_the_number_of_the_retry_it_takes_back(desk: Desk) -> None:
    batch, (message_id,) = await _ambiguous(desk)
    await desk.outcomes.reconcile(batch.batch_id, "retry")
    await desk.row(state=10)
    await desk.accept()
    await desk.no_lease()
    assert await desk.number_claimed_by() == message_id


async def test_a_failed_call_waits_for_its_redial_and_ends_answered(desk: Desk) -> None:
    message_id = await desk.submitted(call_id="call-1")
    assert (await desk.row(call_id="call-1", state=50, redial_ms=60_000)).fate == "waiting"
    assert await desk.state(message_id) == ("submitted", None)
    assert (await desk.row(call_id="redial", state=40, redial_ms=60_000)).message_id == message_id
    assert await desk.state(message_id) == ("answered", None)
    assert await desk.events_of(message_id) == ["message.answered"]
    assert await desk.outcomes.time_out(SOURCE, timeout_ms=60_000, most=10, asked_at_ms=FAR_MS) == []


async def test_a_failed_call_that_no_redial_followed_ends_failed_after_the_window(desk: Desk) -> None:
    message_id = await desk.submitted(call_id="call-1")
    for _ in range(2):
        await desk.row(call_id="call-1", state=50, redial_ms=60_000)
    assert await desk.outcomes.time_out(SOURCE, timeout_ms=60_000, most=10, asked_at_ms=now_ms()) == []
    await desk.db.read("ZADD", desk.db.key("redials", SOURCE), "XX", 1, message_id)
    assert await desk.outcomes.time_out(SOURCE, timeout_ms=60_000, most=10, asked_at_ms=FAR_MS) == [
        (message_id, "failed", "login-otp")
    ]
    assert await desk.state(message_id) == ("failed", "busy")


async def test_only_an_export_that_began_after_the_window_shows_that_no_redial_came(desk: Desk) -> None:
    message_id = await desk.submitted(call_id="call-1")
    await desk.row(call_id="call-1", state=50, redial_ms=60_000)
    await desk.db.read("ZADD", desk.db.key("redials", SOURCE), "XX", 1_000, message_id)
    assert await desk.outcomes.time_out(SOURCE, timeout_ms=60_000, most=10, asked_at_ms=999) == []
    assert await desk.state(message_id) == ("submitted", None)
    assert await desk.outcomes.time_out(SOURCE, timeout_ms=60_000, most=10, asked_at_ms=1_000) == [
        (message_id, "failed", "login-otp")
    ]


async def test_the_redial_window_of_a_call_that_proves_its_import_starts_with_that_import(desk: Desk) -> None:
    _, (message_id,) = await _ambiguous(desk)
    await desk.row(call_id="call-1", state=50, redial_ms=60_000)
    assert await desk.outcomes.time_out(SOURCE, timeout_ms=60_000, most=10, asked_at_ms=now_ms()) == []
    assert await desk.state(message_id) == ("submitted", None)
    await desk.row(call_id="call-2", state=40, redial_ms=60_000)
    assert await desk.state(message_id) == ("answered", None)


async def test_what_waits_too_long_ends_undetermined_and_a_late_row_still_settles_it(desk: Desk) -> None:
    message_id = await desk.submitted(call_id="call-1")
    assert await desk.outcomes.time_out(SOURCE, timeout_ms=60_000, most=10, asked_at_ms=FAR_MS) == []
    assert await desk.outcomes.time_out(SOURCE, timeout_ms=-1, most=10, asked_at_ms=FAR_MS) == [
        (message_id, "undetermined", "login-otp")
    ]
    assert await desk.state(message_id) == ("undetermined", "no_outcome")
    revision = int(str(await desk.field(message_id, "v")))
    assert (await desk.row(call_id="call-1")).fate == "settled"
    assert await desk.state(message_id) == ("answered", None)
    assert await desk.events_of(message_id) == ["message.undetermined", "message.answered"]
    bodies = [one.body for one in await desk.events.after("checkout", None, 10)]
    assert [one.data.revision for one in bodies] == [revision, revision + 1]
    assert [one.data.reason for one in bodies] == ["no_outcome", None]
    assert (await desk.row(call_id="call-1", state=50)).fate == "known"


async def test_a_late_row_settles_what_was_given_up_as_ambiguous(desk: Desk) -> None:
    batch, (message_id,) = await _ambiguous(desk)
    await desk.outcomes.reconcile(batch.batch_id, "give_up")
    assert (await desk.row(call_id="call-1", state=50, redial_ms=60_000)).fate == "settled"
    assert await desk.state(message_id) == ("failed", "busy")


async def test_a_message_that_may_have_been_imported_twice_is_settled_by_either_call(desk: Desk) -> None:
    batch, (message_id,) = await _ambiguous(desk)
    await desk.outcomes.reconcile(batch.batch_id, "retry")
    await desk.batches.settle(await desk.sending(), "missing", taken={message_id: "call-2"})
    assert (await desk.row(call_id="call-1")).message_id == message_id
    assert (await desk.row(call_id="call-2")).fate == "known"


async def test_a_client_that_asked_for_it_gets_an_event_when_the_import_took_its_message(desk: Desk) -> None:
    client = replace(CHECKOUT, events=("final", "submitted"))
    message_id = await desk.submitted(call_id="1", client=client)
    await desk.row(call_id="1")
    assert await desk.events_of(message_id) == ["message.submitted", "message.answered"]
