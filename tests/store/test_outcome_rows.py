"""Rows as exports give them: in any order, repeated, in odd states, with and without ids; and who may end what."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import permutations

import pytest

from app.message import BatchId, Call, MessageId
from app.store.batches import source_of
from tests.store.desk import ACCOUNT, ALICE, BOB, LOGIN, SOURCE, Desk, call_row, numbers

SCRIPTS = ("outcome", "time_out", "reconcile")

NOTICE = replace(LOGIN, name="order-notice", campaign_id="c2")
SECOND_S = 1000


async def give(
    desk: Desk,
    call_id: str = "",
    state: int = 40,
    *,
    number: str = ALICE,
    at: int | None = None,
    source: str = "",
    redial_ms: int | dict[str, int] = 0,
) -> tuple[str, MessageId | None]:
    """Gives a row of a call made `at` seconds from now, or of one without a date; its fate, and whose it was."""
    now_ms = await desk.now_ms()
    called = None if at is None else f"2026-11-24T10:{30 + at // 60:02d}:{at % 60:02d}+07:00"
    row = call_row(call_id, state)
    finding = await desk.outcomes.give_row(
        "main",
        number,
        Call(
            call_id=row.call_id,
            caller_id=row.caller_id,
            called_at=called,
            duration=row.duration,
            key_press="",
            keys=[],
            note=row.note,
            state=state,
        ),
        "busy",
        called_at_ms=None if at is None else now_ms + at * SECOND_S,
        tolerance_ms=3_000,
        redial_ms=redial_ms,
        source=source,
    )
    return finding.fate, finding.message_id


async def ambiguous(desk: Desk, *to: str) -> tuple[BatchId, list[MessageId]]:
    sent = [await desk.accept(number) for number in to or (ALICE,)]
    batch = await desk.sending()
    await desk.batches.settle(batch, "ambiguous", "read timeout")
    return batch.batch_id, sent


@pytest.mark.parametrize("order", tuple(permutations(((10, "a"), (20, "a"), (40, "a")))))
async def test_rows_of_one_call_in_any_order_and_twice_end_it_once(
    desk: Desk, order: tuple[tuple[int, str], ...]
) -> None:
    message_id = await desk.submitted(call_id="")
    for state, call_id in [*order, *order]:
        _, owner = await give(desk, call_id, state, at=1)
        assert owner == message_id
    assert await desk.state(message_id) == ("answered", None)
    assert await desk.events_of(message_id) == ["message.answered"]


@pytest.mark.parametrize("state", (0, 10, 20, 30, 41, 49, 51, 60, -1))
async def test_a_state_that_is_neither_40_nor_50_ends_nothing(desk: Desk, state: int) -> None:
    message_id = await desk.submitted(call_id="a")
    assert await give(desk, "a", state, at=1) == ("waiting", message_id)
    assert await desk.state(message_id) == ("submitted", None)
    assert (await give(desk, "a", 50, at=1))[0] == "settled"


async def test_a_row_without_id_that_is_read_again_is_not_the_next_messages_call(desk: Desk) -> None:
    first = await desk.submitted(call_id="")
    assert await give(desk, at=0) == ("settled", first)
    second = await desk.submitted(call_id="")
    assert await give(desk, at=0) == ("known", first)
    assert await desk.state(second) == ("submitted", None)
    assert await give(desk, at=2, state=50) == ("settled", second)


async def test_an_export_without_ids_settles_what_was_imported_with_ids_in_the_order_of_the_calls(
    desk: Desk,
) -> None:
    first = await desk.submitted(call_id="a")
    await asyncio.sleep(0.002)
    second = await desk.submitted(call_id="b")
    assert await give(desk, at=1, state=10) == ("waiting", first)
    assert await give(desk, at=1) == ("settled", first)
    assert await give(desk, at=1) == ("known", first)
    assert await give(desk, at=5, state=50) == ("settled", second)
    assert (await give(desk, at=9))[0] == "unexplained"


async def test_a_call_that_gets_its_id_later_is_still_one_call(desk: Desk) -> None:
    message_id = await desk.submitted(call_id="")
    assert await give(desk, "", 10) == ("waiting", message_id)
    assert await give(desk, "a", 20, at=1) == ("waiting", message_id)
    assert await give(desk, "a", 40, at=1) == ("settled", message_id)


async def test_campaigns_that_count_their_own_ids_do_not_settle_each_others_calls(desk: Desk) -> None:
    code = await desk.submitted(call_id="1001")
    notice = await desk.submitted(call_id="1001", campaign=NOTICE)
    other = source_of(NOTICE, ACCOUNT)
    assert await give(desk, "1001", 50, at=1, source=SOURCE) == ("settled", code)
    assert await give(desk, "1001", 50, at=1, source=SOURCE) == ("known", code)
    assert await desk.state(notice) == ("submitted", None)
    assert await give(desk, "1001", 40, at=1, source=other) == ("settled", notice)


async def test_in_an_accounts_log_one_id_of_two_campaigns_is_told_apart_by_the_time_of_the_call(
    desk: Desk,
) -> None:
    code = await desk.submitted(call_id="1001")
    await asyncio.sleep(0.002)
    notice = await desk.submitted(call_id="1001", campaign=NOTICE)
    assert await give(desk, "1001", 50, at=1, source="main") == ("settled", code)
    assert await give(desk, "1001", 50, at=1, source="main") == ("known", code)
    assert await give(desk, "1001", 40, at=2, source="main") == ("settled", notice)
    assert await desk.state(code) == ("failed", "busy")


async def test_a_retry_that_is_ambiguous_too_is_proven_whole_by_a_call_made_after_it(desk: Desk) -> None:
    first, (alice, bob) = await ambiguous(desk, ALICE, BOB)
    assert await desk.outcomes.reconcile(first, "retry") == (2, 0)
    second = await desk.sending()
    await desk.batches.settle(second, "ambiguous", "read timeout")
    assert (await give(desk, "a", 20, at=1))[1] == alice
    assert await desk.state(bob) == ("submitted", None)
    assert await desk.outcomes.reconcile(second.batch_id, "retry") is None


async def test_a_call_made_before_the_retry_speaks_for_its_own_message_alone(desk: Desk) -> None:
    first, (alice, bob) = await ambiguous(desk, ALICE, BOB)
    await desk.outcomes.reconcile(first, "retry")
    second = await desk.sending()
    await desk.batches.settle(second, "ambiguous", "read timeout")
    now_ms = await desk.now_ms()
    await desk.db.read("HSET", desk.db.key("b", second.batch_id), "at", now_ms + 60_000)
    assert (await give(desk, "a", 20, at=1))[1] == alice
    assert await desk.state(alice) == ("submitted", None)
    assert await desk.state(bob) == ("submitting", None)
    assert await desk.outcomes.reconcile(second.batch_id, "give_up") == (0, 1)


async def test_a_redial_window_is_the_one_of_the_messages_campaign(desk: Desk) -> None:
    code = await desk.submitted(call_id="a")
    notice = await desk.submitted(BOB, call_id="b", campaign=NOTICE)
    windows = {"login-otp": 0, "order-notice": 60_000}
    assert await give(desk, "a", 50, at=1, redial_ms=windows) == ("settled", code)
    assert await give(desk, "b", 50, at=1, number=BOB, redial_ms=windows) == ("waiting", notice)
    assert await give(desk, "c", 40, at=20, number=BOB, redial_ms=windows) == ("settled", notice)


async def test_an_outcome_timeout_is_the_one_of_the_messages_campaign(desk: Desk) -> None:
    patient = await desk.submitted(ALICE, call_id="a")
    short = await desk.submitted(BOB, call_id="b", campaign=replace(NOTICE, campaign_id="c1"))
    await asyncio.sleep(0.002)
    ended = await desk.outcomes.time_out(
        SOURCE, timeout_ms={"login-otp": 60_000, "order-notice": 1}, most=10, asked_at_ms=await desk.now_ms()
    )
    assert ended == [(short, "undetermined", "order-notice")]
    assert await desk.state(patient) == ("submitted", None)
    await give(desk, "a", at=1)


async def test_failed_calls_that_wait_for_a_redial_stand_in_no_others_way(desk: Desk) -> None:
    failed = []
    for number in numbers(5):
        failed.append(await desk.submitted(number, call_id=number[-4:]))
        await give(desk, number[-4:], 50, number=number, at=1, redial_ms=60_000)
    silent = await desk.submitted(call_id="a")
    await asyncio.sleep(0.002)
    assert await desk.outcomes.time_out(SOURCE, timeout_ms=1, most=2, asked_at_ms=await desk.now_ms()) == [
        (silent, "undetermined", "login-otp")
    ]
    for message_id in failed:
        await desk.db.read("ZADD", desk.db.key("redials", SOURCE), "XX", 1, message_id)
    assert (
        len(await desk.outcomes.time_out(SOURCE, timeout_ms=60_000, most=10, asked_at_ms=await desk.now_ms()))
        == 5
    )


async def test_what_no_export_was_asked_for_lately_is_not_given_up(desk: Desk) -> None:
    message_id = await desk.submitted(call_id="a")
    now_ms = await desk.now_ms()
    assert (
        await desk.outcomes.time_out(
            SOURCE, timeout_ms=-1, most=10, asked_at_ms=await desk.now_ms(), sent_since_ms=now_ms + 1
        )
        == []
    )
    assert await desk.outcomes.time_out(
        SOURCE, timeout_ms=-1, most=10, asked_at_ms=await desk.now_ms(), sent_since_ms=0
    ) == [(message_id, "undetermined", "login-otp")]


async def test_who_does_not_collect_any_more_gives_up_nothing(desk: Desk) -> None:
    waiting = await desk.submitted(BOB, call_id="a")
    batch, (message_id,) = await ambiguous(desk)
    assert await desk.outcomes.hold_collector(SOURCE, "new", 60_000)
    before = await desk.dump()
    assert await desk.outcomes.reconcile(batch, "retry", owner="old") is None
    assert (
        await desk.outcomes.time_out(
            SOURCE, timeout_ms=-1, most=10, asked_at_ms=await desk.now_ms(), owner="old"
        )
        == []
    )
    assert await desk.dump() == before
    assert await desk.outcomes.reconcile(batch, "give_up", owner="new") == (0, 1)
    assert await desk.outcomes.time_out(
        SOURCE, timeout_ms=-1, most=10, asked_at_ms=await desk.now_ms(), owner="new"
    ) == [(waiting, "undetermined", "login-otp")]
    assert await desk.state(message_id) == ("undetermined", "ambiguous_import")
    await desk.outcomes.release_collector(SOURCE, "new")


async def test_an_undetermined_message_is_looked_for_until_a_late_row_settles_it(desk: Desk) -> None:
    message_id = await desk.submitted(call_id="a")
    sent_ms = (await desk.outcomes.open(SOURCE)).oldest_sent_ms
    await desk.outcomes.time_out(SOURCE, timeout_ms=-1, most=10, asked_at_ms=await desk.now_ms())
    waiting = await desk.outcomes.open(SOURCE)
    assert (waiting.oldest_sent_ms, waiting.oldest_late_ms, waiting.since_ms) == (None, sent_ms, sent_ms)
    assert await give(desk, "a", at=1) == ("settled", message_id)
    assert (await desk.outcomes.open(SOURCE)).since_ms is None


async def test_what_waits_and_is_fresh_is_told_apart(desk: Desk) -> None:
    old = await desk.submitted(call_id="a")
    await desk.submitted("+84902000001", call_id="b")
    now_ms = await desk.now_ms()
    await desk.db.read("ZADD", desk.db.key("open", SOURCE), "XX", now_ms - 100_000, old)
    waiting = await desk.outcomes.open(SOURCE, 60_000)
    assert (waiting.count, waiting.fresh, waiting.oldest_sent_ms) == (2, 1, now_ms - 100_000)
    assert waiting.oldest_fresh_ms is not None
    assert waiting.oldest_fresh_ms > now_ms - 60_000
    everything = await desk.outcomes.open(SOURCE, 200_000)
    assert (everything.fresh, everything.oldest_fresh_ms) == (2, now_ms - 100_000)
