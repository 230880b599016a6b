"""Hours that pass, and a clock that is set back: what is remembered, and who waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from app.config import Rate
from app.store.messages import Accepted, Limited, new_message_id
from tests.store.clock import SteppedDesk, open_stepped_desk
from tests.store.desk import BOB, CHECKOUT, SOURCE, draft_of, ids_of

HOUR_MS = 3_600_000


@pytest.fixture
async def desk(store_url: str) -> AsyncIterator[SteppedDesk]:
    """At a time that the test sets."""
    async with open_stepped_desk(store_url) as opened:
        yield opened


@pytest.mark.parametrize("step_ms", (-HOUR_MS, -5_000))
async def test_a_clock_set_back_makes_nobody_wait_longer_than_the_limits_period(
    desk: SteppedDesk, step_ms: int
) -> None:
    client = replace(CHECKOUT, rate_limit=Rate(1, timedelta(seconds=10)))
    assert isinstance(await desk.messages.accept(draft_of(client=client), new_message_id()), Accepted)
    await desk.clock.step(step_ms)
    answer = await desk.messages.accept(draft_of(BOB, client=client), new_message_id())
    if isinstance(answer, Limited):
        assert answer.retry_after_ms <= 10_000
        await desk.clock.step(answer.retry_after_ms)
        answer = await desk.messages.accept(draft_of(BOB, client=client), new_message_id())
    assert isinstance(answer, Accepted)


async def test_a_row_settles_an_undetermined_message_hours_later(desk: SteppedDesk) -> None:
    message_id = await desk.submitted(call_id="call-1")
    await desk.clock.step(HOUR_MS)
    far_ms = desk.clock.now_ms
    await desk.outcomes.time_out(SOURCE, timeout_ms=HOUR_MS // 2, most=10, asked_at_ms=far_ms)
    assert await desk.state(message_id) == ("undetermined", "no_outcome")
    await desk.clock.step(48 * HOUR_MS)
    assert (await desk.row(call_id="call-1")).fate == "settled"
    assert await desk.state(message_id) == ("answered", None)


async def test_a_worker_that_a_step_ahead_took_for_gone_changes_nothing(desk: SteppedDesk) -> None:
    message_id = await desk.accept()
    batch = await desk.sending()
    await desk.clock.step(HOUR_MS)
    assert [row[2] for row in await desk.batches.recover(most=10)] == ["ambiguous"]
    assert await desk.batches.settle(batch, "missing", taken={message_id: "1"}) is None
    assert await desk.state(message_id) == ("submitting", None)


async def test_a_clock_set_back_between_lease_and_mark_loses_and_doubles_nothing(desk: SteppedDesk) -> None:
    message_id = await desk.accept()
    batch = await desk.lease()
    await desk.clock.step(-HOUR_MS)
    assert await desk.batches.recover(most=10) == []
    assert await desk.batches.mark_sending(batch, lease_ms=15_000) is not None
    assert (await desk.no_lease()).wait_ms is None
    await desk.batches.settle(batch, "requeue", "0")
    await desk.clock.step(HOUR_MS)
    assert ids_of(await desk.lease()) == [message_id]
