"""Events: leased to one pusher at a time, a destination's trouble its own, replay, and the lists of them."""

from __future__ import annotations

import pytest

from app.message import CallbackState
from app.store.events import BREAKER_FAILURES
from tests.store.desk import ALICE, BOB, DELIVERY, Desk, numbers

SCRIPTS = ("claim_events", "settle_event", "replay_event")

SLOW = "https://slow.internal:443"


async def _fail(desk: Desk, verdict: str = "retry", *, fence: str = "f") -> None:
    (due,) = await desk.claim(most=1, fence=fence)
    assert await desk.events.settle(due, verdict, status=500, error=None, retry_in_ms=0)


async def _again(desk: Desk) -> None:
    """As if the pause of every breaker were over, and every retry due."""
    for breaker in await desk.names("breaker"):
        if await desk.db.read("HEXISTS", breaker, "next"):
            await desk.db.read("HSET", breaker, "next", 1)
    for destination in await desk.db.read("ZRANGE", desk.db.key("destinations"), 0, -1):
        await desk.db.read("ZADD", desk.db.key("destinations"), 1, destination)


async def test_an_event_is_leased_to_one_pusher_at_a_time(desk: Desk) -> None:
    message_id = await desk.answered()
    (due,) = await desk.claim()
    assert (due.message_id, due.client, due.attempts) == (message_id, "checkout", 0)
    assert await desk.claim(fence="other") == []


async def test_a_destination_gets_no_more_at_once_than_its_slots(desk: Desk) -> None:
    for number in numbers(5):
        await desk.answered(number)
    first = await desk.claim(slots=2)
    assert len(first) == 2
    assert await desk.claim(slots=2) == []
    assert await desk.events.settle(first[0], "delivered", status=204, error=None, retry_in_ms=0)
    assert len(await desk.claim(slots=2)) == 1


async def test_one_destinations_queue_delays_no_other(desk: Desk) -> None:
    for number in numbers(5):
        await desk.answered(number, destination=SLOW)
    await desk.answered(ALICE)
    assert len(await desk.claim(slots=1)) == 2
    await desk.answered(BOB)
    assert await desk.claim(slots=1) == []


async def test_an_overdue_lease_is_given_again_with_the_same_bytes_and_the_old_one_is_lost(
    desk: Desk,
) -> None:
    await desk.answered()
    (old,) = await desk.claim(lease_ms=-1, fence="old")
    (new,) = await desk.claim(fence="new")
    assert (new.event_id, new.body) == (old.event_id, old.body)
    before = await desk.dump()
    assert not await desk.events.settle(old, "dead", status=500, error=None, retry_in_ms=0)
    assert await desk.dump() == before
    assert await desk.events.settle(new, "delivered", status=204, error=None, retry_in_ms=0)


async def test_what_was_delivered_after_its_lease_ran_out_is_not_sent_once_more(desk: Desk) -> None:
    await desk.answered()
    (due,) = await desk.claim(lease_ms=-1)
    assert await desk.claim(slots=0, fence="other") == []
    assert await desk.events.settle(due, "delivered", status=204, error=None, retry_in_ms=0)
    assert await desk.claim(fence="other") == []


async def test_a_failed_attempt_is_tried_again_when_due_with_the_same_bytes(desk: Desk) -> None:
    await desk.answered()
    (first,) = await desk.claim()
    assert await desk.events.settle(first, "retry", status=None, error="timeout", retry_in_ms=60_000)
    assert await desk.claim() == []
    shown = await desk.messages.show(first.message_id, "checkout")
    assert shown is not None
    (callback,) = shown.callbacks
    assert (callback.state, callback.attempts, callback.last_error) == (CallbackState.PENDING, 1, "timeout")
    await desk.db.read("ZADD", desk.db.key("push", "https://checkout.internal:443"), 1, first.event_id)
    await _again(desk)
    (second,) = await desk.claim()
    assert (second.body, second.attempts) == (first.body, 1)


async def test_after_a_run_of_failures_one_probe_at_a_time_goes_through(desk: Desk) -> None:
    for number in numbers(8):
        await desk.answered(number)
    for _ in range(BREAKER_FAILURES):
        await _fail(desk)
    assert await desk.claim() == []
    await _again(desk)
    (probe,) = await desk.claim()
    await _again(desk)
    assert await desk.claim() == []
    assert await desk.events.settle(probe, "delivered", status=204, error=None, retry_in_ms=0)
    assert len(await desk.claim()) == 7


async def test_what_was_not_sent_is_no_failure_of_its_destination(desk: Desk) -> None:
    """Another client may send there what this one may not; and an open breaker stays open."""
    for number in numbers(9):
        await desk.answered(number)
    for _ in range(2 * BREAKER_FAILURES):
        (due,) = await desk.claim(most=1)
        assert await desk.events.settle(
            due, "retry", status=None, error="url not allowed", retry_in_ms=0, refused=True
        )
    assert await desk.names("breaker") == []
    for _ in range(BREAKER_FAILURES):
        await _fail(desk)
    await _again(desk)
    (probe,) = await desk.claim()
    assert await desk.events.settle(
        probe, "retry", status=None, error="url not allowed", retry_in_ms=60_000, refused=True
    )
    await _again(desk)
    assert len(await desk.claim()) == 1


async def test_a_client_gets_no_more_than_its_share_and_keeps_no_other_waiting(desk: Desk) -> None:
    for at, number in enumerate(numbers(6)):
        await desk.answered(number, destination=f"https://host-{at}.internal:443")
    await desk.answered(ALICE, client=DELIVERY, destination="https://last.internal:443")
    _, due = await desk.events.claim(
        most=100, slots=10, lease_ms=60_000, fence="f", share=3, held={"checkout": 1, "delivery": 2}
    )
    assert sorted(one.client for one in due) == ["checkout", "checkout", "delivery"]
    wait_ms, due = await desk.events.claim(
        most=100, slots=10, lease_ms=60_000, fence="g", share=3, held={"checkout": 3}
    )
    assert due == []
    assert wait_ms is not None
    assert 0 < wait_ms <= 250
    await _again(desk)
    assert len(await desk.claim(fence="h")) == 4


async def test_a_destination_gives_a_client_no_more_than_its_share_and_another_client_its_own(
    desk: Desk,
) -> None:
    for number in numbers(6):
        await desk.answered(number)
    await desk.answered(ALICE, client=DELIVERY)
    _, due = await desk.events.claim(most=100, slots=10, lease_ms=60_000, fence="f", share=3)
    assert sorted(one.client for one in due) == ["checkout"] * 3 + ["delivery"]


async def test_a_destination_may_have_slots_of_its_own_and_it_is_told_where_they_were_too_few(
    desk: Desk,
) -> None:
    for number in numbers(5):
        await desk.answered(number, destination=SLOW)
    await desk.answered(ALICE)
    await desk.answered(BOB)
    _, due = await desk.events.claim(
        most=100, slots=1, lease_ms=60_000, fence="f", slots_of={"https://checkout.internal:443": 2}
    )
    assert sorted((one.destination, one.more_waited) for one in due) == [
        ("https://checkout.internal:443", False),
        ("https://checkout.internal:443", False),
        (SLOW, True),
    ]


async def test_a_dead_letter_waits_for_a_replay_under_its_own_id(desk: Desk) -> None:
    await desk.answered()
    (due,) = await desk.claim()
    assert await desk.events.settle(due, "dead", status=410, error=None, retry_in_ms=0)
    listed, _ = await desk.events.deliveries("checkout", CallbackState.DEAD, limit=10, cursor=None)
    assert [one.callback.event_id for one in listed] == [due.event_id]
    assert await desk.claim() == []
    assert await desk.events.replay("delivery", due.event_id) == "unknown"
    assert await desk.events.replay("checkout", due.event_id) == "queued"
    assert await desk.events.replay("checkout", due.event_id) == "queued"
    assert await desk.events.deliveries("checkout", CallbackState.DEAD, limit=10, cursor=None) == ([], None)
    (again,) = await desk.claim()
    assert (again.event_id, again.body, again.attempts) == (due.event_id, due.body, 0)


async def test_an_event_without_a_callback_is_listed_and_never_pushed(desk: Desk) -> None:
    await desk.answered(destination=None)
    assert await desk.claim() == []
    (listed,) = await desk.events.after("checkout", None, 10)
    assert await desk.events.replay("checkout", listed.event_id) == "no callback"


async def test_a_cursor_leads_through_a_clients_own_events_in_the_order_they_were_made(desk: Desk) -> None:
    made = [await desk.answered(number) for number in numbers(5)]
    await desk.answered(ALICE, client=DELIVERY)
    seen, cursor = [], None
    while page := await desk.events.after("checkout", cursor, 2):
        seen += [one.body.data.id for one in page]
        cursor = page[-1].cursor
    assert seen == made


@pytest.mark.parametrize("state", (CallbackState.PENDING, CallbackState.DEAD, CallbackState.DELIVERED))
async def test_a_cursor_leads_through_deliveries_newest_first_and_shows_none_twice(
    desk: Desk, state: CallbackState
) -> None:
    for number in numbers(5):
        await desk.answered(number)
    if state is not CallbackState.PENDING:
        for due in await desk.claim():
            await desk.events.settle(due, state.value, status=410, error=None, retry_in_ms=0)
    seen: list[str | None] = []
    cursor = None
    for _ in range(4):
        page, cursor = await desk.events.deliveries("checkout", state, limit=2, cursor=cursor)
        seen += [one.callback.event_id for one in page]
        if cursor is None:
            break
    assert cursor is None
    assert len(seen) == len(set(seen)) == 5


async def test_a_record_that_no_key_opens_keeps_no_other_from_going_out(desk: Desk) -> None:
    lost, other = await desk.answered(ALICE), await desk.answered(BOB)
    await desk.db.read("HSET", desk.db.key("m", lost), "b", b"sealed with a key that is gone")
    bodies = {due.message_id: due.body for due in await desk.claim()}
    assert bodies[lost] == b""
    assert other.encode() in bodies[other]


async def test_a_delivery_whose_record_is_gone_leaves_the_list_with_the_next_event(desk: Desk) -> None:
    pending = desk.db.key("pending", "checkout")
    await desk.db.read("ZADD", pending, 1, "evt_gone")
    await desk.answered()
    assert await desk.db.read("ZSCORE", pending, "evt_gone") is None
    assert await desk.db.read("PTTL", pending) > 0
