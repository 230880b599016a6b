"""What a running worker makes of imports that are refused or lost as a whole: halves, smaller batches, holds.

One worker serves the whole module; each test begins with a provider and a campaign as new.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.message import MessageId
from app.store.wakeups import wake_again
from tests.workers.conftest import rigs
from tests.workers.rig import Json, Rig

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rigs(redis_url, tmp_path_factory.mktemp("refusals")) as make:
        notices = 'batch_size = 10\nreconcile_window = "1s"'
        codes = 'batch_size = 64\nreconcile_window = "1s"'
        yield await make(login_otp=codes, order_notice=notices)


@pytest_asyncio.fixture(loop_scope="module")
async def rig(running: Rig) -> Rig:
    await running.sandbox.post("/sandbox/reset")
    for kind in ("hold", "smaller", "lone"):
        for campaign in running.config.campaigns:
            await running.database.read("DEL", running.database.key(kind, campaign))
    return running


async def at_once(
    rig: Rig, numbers: list[str], campaign: str = "login-otp", ttl_s: float = 60
) -> list[MessageId]:
    """Messages that a lease finds all together."""
    pause = rig.database.key("pause", campaign)
    await rig.database.read("HSET", pause, "at", 1)
    sent = [await rig.send(number, campaign, ttl_s=ttl_s) for number in numbers]
    await rig.database.read("DEL", pause)
    await wake_again(rig.database, campaign)
    return sent


async def ends(rig: Rig, ids: list[MessageId]) -> list[str]:
    """State and reason of each, once it is final."""
    finals = [(await rig.final(one)).message for one in ids]
    return [one.state.value if one.reason is None else f"{one.state}: {one.reason}" for one in finals]


async def imports(rig: Rig) -> list[Json]:
    return list((await rig.provider())["imports"])


async def called(rig: Rig) -> list[str]:
    return sorted("+84" + call["number"].removeprefix("0") for call in (await rig.provider())["calls"])


def numbers(count: int, block: int) -> list[str]:
    return [f"+8490{block:02d}{n:02d}567" for n in range(count)]


async def test_one_poisoned_contact_of_64_is_found_by_twice_the_logarithm_of_imports(rig: Rig) -> None:
    good = numbers(63, 10)
    sent = await at_once(rig, [*good[:40], "+84901230044", *good[40:]])
    assert (await ends(rig, sent)) == ["answered"] * 40 + ["rejected: invalid_contact"] + ["answered"] * 23
    made = await imports(rig)
    print(f"{len(made)} imports for one poisoned contact among 64")
    assert len(made) <= 1 + 2 * 6
    assert await called(rig) == good


async def test_batches_shrink_after_413_and_grow_again_when_that_is_forgotten(rig: Rig) -> None:
    await rig.fault("too_large", above=10)
    first, second = numbers(40, 11), numbers(20, 12)
    assert set(await ends(rig, await at_once(rig, first))) == {"answered"}
    shrunk = len(await imports(rig))
    assert set(await ends(rig, await at_once(rig, second))) == {"answered"}
    sizes = [one["contacts"] for one in await imports(rig)]
    smaller = rig.database.key("smaller", "login-otp")
    assert 500_000 < await rig.database.read("PTTL", smaller) <= 600_000
    await rig.database.read("PEXPIRE", smaller, 1)
    await rig.mend("too_large")
    assert set(await ends(rig, await at_once(rig, numbers(40, 13)))) == {"answered"}
    grown = [one["contacts"] for one in await imports(rig)][len(sizes) :]
    print(f"sizes: {sizes[:shrunk]} when first told, {sizes[shrunk:]} afterwards, {grown} when forgotten")
    assert sizes[0] == 40
    assert max(sizes[shrunk:]) <= 10
    assert grown == [40]
    assert len(set(await called(rig))) == len(await called(rig)) == 100


async def test_a_provider_that_refuses_every_contact_costs_three_of_them_and_no_more(rig: Rig) -> None:
    await rig.fault("malformed_contacts")
    sent = await at_once(rig, numbers(32, 14))
    hold = rig.database.key("hold", "login-otp")
    give_up = time.monotonic() + 10
    while await rig.database.read("HGET", hold, "probes") != b"2":
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)
    assert await rig.database.read("HGET", hold, "reason") == b"campaign_invalid"
    sizes = [one["contacts"] for one in await imports(rig)]
    print(f"imports of 32 contacts that are all refused: {sizes}")
    assert sum(sizes) <= 32 + 16 + 8 + 4 + 2 + 2 + 2 + 1 + 2
    await rig.mend("malformed_contacts")
    ended = await ends(rig, sent)
    assert ended.count("rejected: invalid_contact") == 3
    assert ended.count("answered") == 29
    assert len(await called(rig)) == 29


async def test_a_provider_that_breaks_on_every_import_makes_a_few_messages_ambiguous_and_not_the_queue(
    rig: Rig,
) -> None:
    await rig.fault("error_before", status=502)
    codes = await at_once(rig, numbers(80, 15))
    notices = await at_once(rig, numbers(80, 16), "order-notice")
    await asyncio.sleep(3)
    made = await imports(rig)
    by_campaign = {
        name: sum(one["campaign_id"] == settings.campaign_id for one in made)
        for name, settings in rig.config.campaigns.items()
    }
    await rig.mend("error_before")
    mended = time.monotonic()
    assert set(await ends(rig, codes)) == {"answered"}
    told = await ends(rig, notices)
    given_up = told.count("undetermined: ambiguous_import")
    took_s = time.monotonic() - mended
    print(
        f"imports in 3 s of an outage: {by_campaign}; {given_up} of 80 notices given up; out in {took_s:.1f} s"
    )
    assert max(by_campaign.values()) <= 4 + 8
    assert given_up <= 4 * 10 + 8
    assert told.count("answered") == 80 - given_up
    assert len(set(await called(rig))) == len(await called(rig)) == 160 - given_up


async def test_a_throttled_import_waits_as_long_as_it_was_told_and_a_slow_one_is_waited_for(rig: Rig) -> None:
    await rig.fault("rate_limited", times=1, retry_after_s=2)
    (first,) = await at_once(rig, numbers(1, 17))
    await until_imports(rig, 1)
    await rig.fault("slow", delay_ms=1200, times=1)
    await rig.final(first)
    made = await imports(rig)
    assert [one["answer"] for one in made] in (["", "1"], ["429", "1"])
    assert made[1]["at_ms"] - made[0]["at_ms"] >= 2000
    assert len(await called(rig)) == 1


async def until_imports(rig: Rig, count: int) -> None:
    give_up = time.monotonic() + 10
    while len(await imports(rig)) < count:
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)
