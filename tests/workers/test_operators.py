"""Running workers and what operators say: a pause, its end, a redrive; and the ceiling, told of by one of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.message import CallbackState
from app.store.actions import Act, Actions
from app.store.campaigns import Campaigns
from app.store.jobs import Jobs
from tests.workers.conftest import rigs
from tests.workers.rig import KEEP_MS, Rig, said, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPERATOR = Act(by="mai", key="d74ff0ee", why="callers complain")
DRIPS = 'max_per_hour = 5\nbatch_size = 1\nconcurrency = 1\nreconcile_window = "1s"'


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def rig(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """Two workers."""
    async with rigs(redis_url, tmp_path_factory.mktemp("operators")) as make:
        running = await make(order_notice=DRIPS, callbacks='retry_schedule = ["200ms"]\ntimeout = "2s"')
        await running.start_worker()
        yield running


async def test_a_resumed_campaigns_queue_goes_at_once(rig: Rig) -> None:
    actions = Actions(rig.database, keep_ms=KEEP_MS)
    await actions.on_campaign("pause", "login-otp", OPERATOR)
    sent = await rig.send("+84901111567")
    await until(lambda: bool(said(rig, "campaign is held, its queue waits", reason="paused")), "it is held")
    await asyncio.sleep(0.3)
    assert await rig.state_of(sent) == ("queued", None)
    resumed = time.monotonic()
    await actions.on_campaign("resume", "login-otp", OPERATOR)
    while (await rig.state_of(sent))[0] == "queued":
        assert time.monotonic() - resumed < 3, "it was not woken"
        await asyncio.sleep(0.01)
    assert (await rig.final(sent)).message.state == "answered"


async def test_a_message_that_waits_too_long_for_a_paused_campaign_says_so(rig: Rig) -> None:
    actions = Actions(rig.database, keep_ms=KEEP_MS)
    await actions.on_campaign("pause", "login-otp", OPERATOR)
    sent = await rig.send("+84901112567", ttl_s=0.5)
    shown = (await rig.final(sent)).message
    await actions.on_campaign("resume", "login-otp", OPERATOR)
    assert (shown.state, shown.reason) == ("expired", "paused")


async def test_a_redrive_reaches_the_dead_of_one_destination(rig: Rig) -> None:
    rig.receiver.statuses = [500] * 20  # callbacks of the tests before may take some
    sent = await rig.send("+84901113567")
    await rig.final(sent)
    give_up = time.monotonic() + 30
    while (await rig.show(sent)).callbacks[-1].state != "dead":
        assert time.monotonic() < give_up
        await asyncio.sleep(0.05)
    rig.receiver.statuses = []
    before, jobs = len(rig.receiver.got), Jobs(rig.config.redis.queue_url)
    await jobs.replay_callbacks("checkout", 0, CallbackState.DEAD, "https://elsewhere.internal:443")
    await until(lambda: bool(said(rig, "callbacks replayed", replayed=0)), "nothing went elsewhere")
    assert (await rig.show(sent)).callbacks[-1].state == "dead"
    destination = await rig.database.read("HGET", rig.database.key("m", sent), "d")
    await jobs.replay_callbacks("checkout", 0, CallbackState.DEAD, destination.decode())
    await rig.receiver.wait_for(before + 1)
    await jobs.close()


async def test_the_ceiling_stops_imports_is_told_of_once_and_costs_no_polling(rig: Rig) -> None:
    sent = [await rig.send(f"+849011{n}2567", "order-notice", ttl_s=3) for n in range(7)]
    await until(
        lambda: bool(said(rig, "ceiling reached, nothing more goes until the hour frees some")), "told"
    )
    campaign = rig.config.campaigns["order-notice"]
    status = await Campaigns(rig.database).status(campaign, ["checkout"])
    assert (status.state, status.reason, status.queued) == ("held", "ceiling", 2)
    before = await _scripts_run(rig)
    await asyncio.sleep(1)
    cost = await _scripts_run(rig) - before
    print(f"{cost} scripts a second of two workers at the ceiling")
    assert cost < 40
    ended = [(await rig.final(one)).message for one in sent]
    assert sorted(one.state.value for one in ended) == ["answered"] * 5 + ["expired"] * 2
    assert {one.reason for one in ended if one.state == "expired"} == {"ceiling"}
    near = said(rig, "ceiling near, raise max_per_hour if this is wanted traffic")
    reached = said(rig, "ceiling reached, nothing more goes until the hour frees some")
    assert [(line["used"], line["max_per_hour"], line["level"]) for line in near] == [(4, 5, "warning")]
    assert [(line["used"], line["max_per_hour"]) for line in reached] == [(5, 5)]
    assert said(rig, "campaign is held, its queue waits", reason="ceiling") == []


async def _scripts_run(rig: Rig) -> int:
    info = (await rig.database.read("INFO", "commandstats")).decode()
    line = next(line for line in info.splitlines() if line.startswith("cmdstat_evalsha:"))
    return int(line.partition("calls=")[2].partition(",")[0])
