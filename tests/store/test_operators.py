"""What operators do to campaigns and deliveries: what it stops, what it leaves, and that it is written down once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from app.message import CallbackState
from app.store.actions import Act, Redrive
from app.store.messages import Draining, Replayed, new_message_id
from tests.store.desk import ALICE, BOB, DESTINATION, LOGIN, OPERATOR, Desk, draft_of, ids_of

SCRIPTS = ("pause", "drain", "resume", "record_action", "replay_event", "accept")

AGAIN = replace(OPERATOR, why="another reason")


async def _log(desk: Desk) -> list[tuple[str, str | None]]:
    """What was done and why, newest first."""
    found, more = await desk.actions.page(limit=100, cursor=None)
    assert more is None
    return [(one.action, one.act.why) for one in found]


async def _state(desk: Desk) -> tuple[str, str | None]:
    status = await desk.campaigns.status(LOGIN, ["checkout"])
    return status.state, status.reason


async def test_nothing_of_a_paused_campaign_is_leased_and_what_is_in_hand_is_settled(desk: Desk) -> None:
    sent = await desk.accept()
    batch = await desk.sending()
    await desk.actions.on_campaign("pause", "login-otp", OPERATOR)
    waits = await desk.accept(BOB)
    assert (await desk.no_lease()).held == "paused"
    await desk.batches.settle(batch, "missing", taken={sent: "call-1"})
    assert (await desk.no_lease()).held == "paused"
    assert await _state(desk) == ("paused", None)
    await desk.make_expired(waits)
    assert await desk.batches.expire(LOGIN, most=10) == (1, "paused")
    assert await desk.state(waits) == ("expired", "paused")


async def test_a_drained_campaign_takes_nothing_new_and_sends_what_is_queued(desk: Desk) -> None:
    first = await desk.accept(key="k", sent=b"1")
    await desk.actions.on_campaign("drain", "login-otp", OPERATOR)
    assert await _state(desk) == ("draining", None)
    before = await desk.dump()
    refused = await desk.messages.accept(draft_of(BOB, key="new"), new_message_id())
    again = await desk.messages.accept(draft_of(key="k", sent=b"1"), new_message_id())
    assert refused == Draining()
    assert isinstance(again, Replayed)
    assert await desk.dump() == before
    assert ids_of(await desk.sending()) == [first]


async def test_resume_ends_both_and_wakes_the_queue_whatever_was_woken_before(desk: Desk) -> None:
    await desk.accept()
    await desk.actions.on_campaign("pause", "login-otp", OPERATOR)
    await desk.actions.on_campaign("drain", "login-otp", OPERATOR)
    await desk.db.read("DEL", desk.db.key("wake"))
    assert await desk.actions.on_campaign("resume", "login-otp", OPERATOR)
    assert await desk.db.read("LRANGE", desk.db.key("wake"), 0, -1) == [b"login-otp"]
    assert await _state(desk) == ("running", None)
    await desk.accept(BOB)
    assert len((await desk.lease()).members) == 2


async def test_a_pause_of_one_campaign_touches_no_other(desk: Desk) -> None:
    other = replace(LOGIN, name="order-notice", campaign_id="c2")
    await desk.actions.on_campaign("pause", "order-notice", OPERATOR)
    await desk.accept()
    await desk.accept(BOB, campaign=other)
    assert len((await desk.lease()).members) == 1
    assert (await desk.no_lease(other)).held == "paused"


async def test_what_is_said_again_is_recorded_only_with_another_reason(desk: Desk) -> None:
    say = desk.actions.on_campaign
    assert not await say("resume", "login-otp", OPERATOR)
    assert await _log(desk) == []
    assert await say("pause", "login-otp", OPERATOR)
    before = await desk.dump()
    assert not await say("pause", "login-otp", OPERATOR)
    assert not await say("pause", "login-otp", replace(OPERATOR, by="someone else"))
    assert await desk.dump() == before
    since = (await desk.campaigns.overview(LOGIN, [])).paused
    assert await say("pause", "login-otp", AGAIN)
    assert since is not None
    assert (await desk.campaigns.overview(LOGIN, [])).paused == replace(since, why=AGAIN.why)
    assert await say("resume", "login-otp", OPERATOR)
    assert await _log(desk) == [("resume", OPERATOR.why), ("pause", AGAIN.why), ("pause", OPERATOR.why)]


async def test_of_many_who_say_the_same_at_once_one_is_recorded(desk: Desk) -> None:
    done = await asyncio.gather(*(desk.actions.on_campaign("pause", "login-otp", OPERATOR) for _ in range(8)))
    assert sorted(done) == [False] * 7 + [True]
    assert len(await _log(desk)) == 1


async def test_the_log_tells_who_when_what_and_why_and_is_bounded(desk: Desk) -> None:
    began = await desk.now_ms()
    await desk.actions.on_campaign("drain", "login-otp", Act(by=None, key="d74ff0ee", why="moving house"))
    (one,), _ = await desk.actions.page(limit=10, cursor=None)
    assert (one.action, one.campaign, one.act) == (
        "drain",
        "login-otp",
        Act(None, "d74ff0ee", "moving house"),
    )
    assert began <= one.at_ms <= await desk.now_ms()
    log = desk.db.key("actions")
    await desk.db.read(
        "EVAL",
        "for n = 1, 10000 do redis.call('XADD', KEYS[1], '*', 'a', 'old', 'at', 1) end return 1",
        1,
        log,
    )
    await desk.actions.on_campaign("drain", "login-otp", AGAIN)
    assert await desk.db.read("XLEN", log) == 10_000
    assert 399 * 86_400_000 < await desk.db.read("PTTL", log) <= 400 * 86_400_000


async def test_what_is_older_than_the_log_keeps_is_gone_with_the_next_action(desk: Desk) -> None:
    await desk.db.read("XADD", desk.db.key("actions"), "1-1", "a", "ancient", "at", 1)
    await desk.actions.on_campaign("pause", "login-otp", OPERATOR)
    assert await _log(desk) == [("pause", OPERATOR.why)]


async def test_the_log_is_read_by_pages(desk: Desk) -> None:
    for n in range(5):
        await desk.actions.on_campaign("pause", "login-otp", replace(OPERATOR, why=f"reason {n}"))
    first, cursor = await desk.actions.page(limit=2, cursor=None)
    await desk.actions.on_campaign("pause", "login-otp", AGAIN)
    second, cursor = await desk.actions.page(limit=2, cursor=cursor)
    third, end = await desk.actions.page(limit=2, cursor=cursor)
    said = [one.act.why for one in (*first, *second, *third)]
    assert said == [f"reason {n}" for n in (4, 3, 2, 1, 0)]
    assert end is None


async def test_an_operators_replay_is_recorded_once_and_one_that_waits_is_left_alone(desk: Desk) -> None:
    message_id = await desk.answered()
    event_id = str(await desk.field(message_id, "ev"))
    assert await desk.actions.replay(event_id, OPERATOR) == "queued"
    assert await _log(desk) == []
    (due,) = await desk.claim()
    await desk.events.settle(due, "dead", status=500, error=None, retry_in_ms=0)
    assert await desk.actions.replay(event_id, OPERATOR) == "queued"
    assert await desk.actions.replay(event_id, OPERATOR) == "queued"
    assert await desk.actions.replay("evt_gone", OPERATOR) == "unknown"
    (one,), _ = await desk.actions.page(limit=10, cursor=None)
    assert (one.action, one.campaign, one.event_id, one.act) == (
        "replay_callback",
        "login-otp",
        event_id,
        OPERATOR,
    )
    assert [due.event_id for due in await desk.claim(fence="g")] == [event_id]


async def test_a_clients_own_replay_is_no_operators_action(desk: Desk) -> None:
    message_id = await desk.answered()
    (due,) = await desk.claim()
    await desk.events.settle(due, "dead", status=500, error=None, retry_in_ms=0)
    assert await desk.events.replay("checkout", str(await desk.field(message_id, "ev"))) == "queued"
    assert await _log(desk) == []


async def test_a_redrive_is_recorded_with_what_it_was_to_reach_and_reaches_one_destination(
    desk: Desk,
) -> None:
    here = await desk.answered(ALICE)
    await desk.answered(BOB, destination="https://other.internal:443")
    await desk.actions.record_redrive(Redrive(0, CallbackState.DEAD, None, DESTINATION), OPERATOR)
    (one,), _ = await desk.actions.page(limit=10, cursor=None)
    assert one.action == "replay_callbacks"
    assert one.detail == (f"since=1970-01-01T00:00:00.000Z state=dead client=* destination={DESTINATION}")
    ids = await desk.events.ids_since("checkout", 0, CallbackState.PENDING, most=10, destination=DESTINATION)
    assert ids == [await desk.field(here, "ev")]
