"""Who collects, and what becomes of outcomes when that worker is killed, slow or stopped, or the export is away."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.workers.many_campaigns import finals, many_campaigns, states, steps, times_called
from tests.workers.rig import Rig

TAKEN_OVER_WITHIN_S = 5.0


async def holder(rig: Rig, campaign: str) -> str | None:
    """Who collects for the campaign."""
    found = await rig.database.read("GET", rig.database.key("collector", f"main/{campaign}"))
    return None if found is None else found.decode()


async def comes(asked: Callable[[], Awaitable[bool]], patience_s: float = 10.0) -> None:
    """Waits for what no event tells of."""
    give_up = time.monotonic() + patience_s
    while True:
        if await asked():
            return
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)


async def another_than(first: str | None, rig: Rig, campaign: str) -> str:
    """Who collects once that is somebody else."""

    async def is_another() -> bool:
        return await holder(rig, campaign) not in (None, first)

    await comes(is_another)
    return str(await holder(rig, campaign))


async def test_a_killed_collector_is_replaced_within_5_s(redis_url: str, tmp_path: Path) -> None:
    async with many_campaigns(redis_url, tmp_path, {"one": ""}) as rig:
        first = await rig.start_worker()
        owner = await another_than(None, rig, "one")
        await rig.start_worker()
        message_id = await rig.send("+84904005000", campaign="one")
        first.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        assert await another_than(owner, rig, "one") != owner
        assert time.monotonic() - killed <= TAKEN_OVER_WITHIN_S
        assert states([await rig.final(message_id)]) == {"answered"}


async def test_an_export_slower_than_the_lease_keeps_its_collector(redis_url: str, tmp_path: Path) -> None:
    async with many_campaigns(redis_url, tmp_path, {"one": ""}, timeout_s=20) as rig:
        await rig.start_worker()
        owner = await another_than(None, rig, "one")
        await rig.start_worker()
        await rig.fault("slow", on="export", delay_ms=6_000, when="after", times=1)
        message_id = await rig.send("+84904005000", campaign="one")
        assert states([await rig.final(message_id)]) == {"answered"}
        assert await holder(rig, "one") == owner
        assert (await rig.provider())["counts"]["export_requests"] <= 3


async def test_a_collector_that_was_stopped_with_an_old_export_in_hand_changes_nothing_when_it_goes_on(
    redis_url: str, tmp_path: Path
) -> None:
    lines = 'reconcile_window = "1s"\noutcome_timeout = "3s"'
    async with many_campaigns(redis_url, tmp_path, {"one": lines}, timeout_s=30) as rig:
        await rig.fault("late_rows", campaign="one", delay_ms=3_000)
        await rig.fault("reset_after", campaign="one", times=1)
        await rig.fault("slow", on="export", campaign="one", delay_ms=2_000, when="after")
        first = await rig.start_worker()
        owner = await another_than(None, rig, "one")
        message_id = await rig.send("+84904005000", campaign="one")
        asked = int((await rig.provider())["counts"]["export_requests"])

        async def has_asked_again() -> bool:
            return int((await rig.provider())["counts"]["export_requests"]) >= asked + 1

        await comes(has_asked_again)
        first.send_signal(signal.SIGSTOP)
        await rig.mend("slow")
        await rig.mend("late_rows")  # the second one finds the row that the first did not
        await rig.start_worker()
        await another_than(owner, rig, "one")
        ended = await rig.final(message_id)
        [kept] = [await rig.show(message_id)]
        first.send_signal(signal.SIGCONT)
        first.send_signal(signal.SIGTERM)  # it ends when its round is over
        await asyncio.wait_for(first.wait(), 20)
        now = await rig.show(message_id)
        called = await times_called(rig)
    assert states([ended]) == {"answered"}
    assert (now.message, steps(now)[: len(steps(kept))]) == (kept.message, steps(kept))
    assert called == {"+84904005000": 1}
    assert len(now.callbacks) == 1


async def test_outcomes_wait_for_an_export_that_is_away_longer_than_their_timeout(
    redis_url: str, tmp_path: Path
) -> None:
    lines = 'outcome_timeout = "2s"\nreconcile_window = "500ms"'
    async with many_campaigns(redis_url, tmp_path, {"one": lines, "two": lines}) as rig:
        await rig.fault("error_before", on="export")
        await rig.fault("reset_after", campaign="two", times=1)
        sent = {
            "one": [await rig.send("+84905005000", campaign="one")],
            "two": [await rig.send("+84905015000", campaign="two")],
        }
        await rig.start_worker()
        await asyncio.sleep(3.5)
        assert {await rig.state_of(one) for ids in sent.values() for one in ids} == {
            ("submitted", None),
            ("submitting", None),
        }
        await rig.mend("error_before")
        ended = await finals(rig, sent)
        called = await times_called(rig)
    assert {name: states(ended[name]) for name in ended} == {"one": {"answered"}, "two": {"answered"}}
    assert set(called.values()) == {1}


async def test_an_outcome_that_comes_after_its_timeout_is_a_second_event(
    redis_url: str, tmp_path: Path
) -> None:
    lines = {"short": 'outcome_timeout = "1500ms"', "long": 'outcome_timeout = "20s"'}
    async with many_campaigns(redis_url, tmp_path, lines) as rig:
        late = await rig.send("+84906000033", campaign="short")
        never = await rig.send("+84906000042", campaign="short")
        slow = await rig.send("+84907000033", campaign="long")
        await rig.start_worker()
        first = await rig.final(late)
        assert states([first, await rig.final(never)]) == {"undetermined no_outcome"}
        assert states([await rig.final(slow)]) == {"answered"}
        got = await rig.receiver.wait_for(4)
        called = await times_called(rig)
    told = [(body["data"]["id"], body["type"], body["data"]["revision"]) for _, body in got]
    revisions = {kind: revision for one, kind, revision in told if one == late}
    assert [kind for one, kind, _ in told if one == late] == ["message.undetermined", "message.answered"]
    assert revisions["message.undetermined"] < revisions["message.answered"]
    assert [kind for one, kind, _ in told if one == slow] == ["message.answered"]
    assert called["+84906000033"] == 1
