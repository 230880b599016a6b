"""Whatever becomes of a message, its sealed code is gone from Redis as soon as no import can need it any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from app.message import MessageId
from tests.store.desk import BOB, LOGIN, SOURCE, Desk


async def _taken(desk: Desk) -> MessageId:
    return await desk.submitted()


async def _answered(desk: Desk) -> MessageId:
    return await desk.answered()


async def _rejected(desk: Desk) -> MessageId:
    message_id = await desk.accept()
    await desk.batches.settle(await desk.sending(), "rejected", "invalid_contact")
    return message_id


async def _left_out(desk: Desk) -> MessageId:
    message_id = await desk.accept()
    await desk.batches.settle(await desk.sending(), "missing")
    return message_id


async def _cancelled(desk: Desk) -> MessageId:
    message_id = await desk.accept()
    assert await desk.messages.cancel(message_id, "checkout") == "cancelled"
    return message_id


async def _superseded(desk: Desk) -> MessageId:
    message_id = await desk.accept()
    await desk.accept(campaign=replace(LOGIN, supersede_queued=True))
    return message_id


async def _expired(desk: Desk) -> MessageId:
    message_id = await desk.accept()
    await desk.make_expired(message_id)
    await desk.batches.expire(LOGIN, most=10)
    return message_id


async def _ambiguous(desk: Desk) -> MessageId:
    """Its import is ambiguous; until that is settled, the code may have to go again."""
    message_id = await desk.accept()
    batch = await desk.sending()
    await desk.batches.settle(batch, "ambiguous", "read timeout")
    assert await desk.field(message_id, "c") is not None
    return message_id


async def _given_up(desk: Desk) -> MessageId:
    message_id = await _ambiguous(desk)
    (batch, _), *_ = (await desk.outcomes.open(SOURCE)).ambiguous
    await desk.outcomes.reconcile(batch, "give_up")
    return message_id


async def _found_by_its_row(desk: Desk) -> MessageId:
    message_id = await _ambiguous(desk)
    assert (await desk.row(state=10)).fate == "waiting"
    return message_id


async def _tried_again_and_expired(desk: Desk) -> MessageId:
    message_id = await _ambiguous(desk)
    (batch, _), *_ = (await desk.outcomes.open(SOURCE)).ambiguous
    await desk.outcomes.reconcile(batch, "retry")
    assert await desk.field(message_id, "c") is not None
    await desk.make_expired(message_id)
    await desk.batches.expire(LOGIN, most=10)
    return message_id


async def _tried_again_and_found_after_all(desk: Desk) -> MessageId:
    message_id = await _ambiguous(desk)
    (batch, _), *_ = (await desk.outcomes.open(SOURCE)).ambiguous
    await desk.outcomes.reconcile(batch, "retry")
    assert (await desk.row()).fate == "settled"
    return message_id


async def _of_a_split_batch(desk: Desk) -> MessageId:
    message_id = await desk.accept()
    await desk.accept(BOB)
    halves = await desk.batches.split(await desk.sending(), smaller_from_now=False)
    assert halves is not None
    for half in halves:
        assert await desk.batches.mark_sending(half, lease_ms=15_000) is not None
        taken = {one.message_id: "" for one in half.members}
        await desk.batches.settle(half, "missing", taken=taken)
    return message_id


async def _never_answered_for(desk: Desk) -> MessageId:
    message_id = await desk.submitted()
    asked_at_ms = await desk.now_ms()
    await desk.outcomes.time_out(SOURCE, timeout_ms=0, most=10, asked_at_ms=asked_at_ms)
    return message_id


ENDINGS: dict[str, tuple[Callable[[Desk], Awaitable[MessageId]], str]] = {
    "taken": (_taken, "submitted"),
    "answered": (_answered, "answered"),
    "rejected": (_rejected, "rejected"),
    "left out of the answer": (_left_out, "rejected"),
    "cancelled": (_cancelled, "cancelled"),
    "superseded": (_superseded, "cancelled"),
    "expired": (_expired, "expired"),
    "given up": (_given_up, "undetermined"),
    "ambiguous and found by its row": (_found_by_its_row, "submitted"),
    "ambiguous, tried again, expired": (_tried_again_and_expired, "undetermined"),
    "ambiguous, tried again, found after all": (_tried_again_and_found_after_all, "answered"),
    "of a batch that was split": (_of_a_split_batch, "submitted"),
    "without an outcome": (_never_answered_for, "undetermined"),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_code_is_gone_once_its_import_is_settled(desk: Desk, ending: str) -> None:
    comes_to, state = ENDINGS[ending]
    message_id = await comes_to(desk)
    assert (await desk.state(message_id))[0] == state
    assert await desk.field(message_id, "c") is None
