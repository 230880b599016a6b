"""Accepting: exact idempotency, refusals that leave no trace, limits to the millisecond, supersession."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from app.config import CampaignConfig, Rate
from app.store.messages import Accepted, Draft, KeyConflict, Limited, QueueFull, Replayed, new_message_id
from app.store.recall import Recall
from tests.store.desk import ALICE, BOB, CHECKOUT, DELIVERY, LOGIN, Desk, draft_of

SCRIPTS = ("accept",)


async def test_forty_equal_requests_at_once_give_one_message_and_39_replays(desk: Desk) -> None:
    answers = await asyncio.gather(
        *(desk.messages.accept(draft_of(key="k"), new_message_id()) for _ in range(40))
    )
    accepted = [one for one in answers if isinstance(one, Accepted)]
    replayed = [one for one in answers if isinstance(one, Replayed)]
    assert (len(accepted), len(replayed)) == (1, 39)
    assert {one.message.id for one in replayed} == {accepted[0].message.id}
    assert all(one.message == accepted[0].message for one in replayed)
    assert len(await desk.names("m")) == 1


async def test_a_replay_gives_the_first_answer_though_the_message_has_moved_on(desk: Desk) -> None:
    first = await desk.messages.accept(draft_of(key="k"), new_message_id())
    await desk.lease()
    again = await desk.messages.accept(draft_of(key="k"), new_message_id())
    assert isinstance(first, Accepted)
    assert isinstance(again, Replayed)
    assert again.message == first.message
    assert await Recall(desk.db).of("checkout", "k", b"{}") == again


async def test_a_replay_uses_nothing_of_any_limit(desk: Desk) -> None:
    once = replace(CHECKOUT, rate_limit=Rate(1, timedelta(hours=1)))
    await desk.accept(client=once, key="k")
    before = await desk.dump()
    assert isinstance(await desk.messages.accept(draft_of(client=once, key="k"), new_message_id()), Replayed)
    assert await desk.dump() == before


async def test_a_key_is_one_clients_own(desk: Desk) -> None:
    first = await desk.accept(key="k")
    assert await desk.accept(key="k", client=DELIVERY) != first


def _hourly(burst: int) -> Rate:
    return Rate(burst, timedelta(hours=1))


REFUSALS: dict[str, tuple[Draft, type[object]]] = {
    "conflict": (draft_of(key="k", sent=b"other"), KeyConflict),
    "client": (draft_of(client=replace(CHECKOUT, rate_limit=_hourly(1)), key="new"), Limited),
    "number": (draft_of(campaign=replace(LOGIN, per_number_limit=_hourly(1)), key="new"), Limited),
    "full": (draft_of(campaign=replace(LOGIN, max_queued=1), key="new"), QueueFull),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_writes_nothing(desk: Desk, name: str) -> None:
    draft, refusal = REFUSALS[name]
    await desk.messages.accept(replace(draft, canonical_body=b"{}", idempotency_key="k"), new_message_id())
    before = await desk.dump()
    answer = await desk.messages.accept(draft, new_message_id())
    assert isinstance(answer, refusal)
    assert await desk.dump() == before


async def test_a_number_limit_counts_all_clients_of_the_campaign_and_no_other_number(desk: Desk) -> None:
    campaign = replace(LOGIN, per_number_limit=_hourly(1))
    await desk.accept(campaign=campaign)
    refused = await desk.messages.accept(draft_of(campaign=campaign, client=DELIVERY), new_message_id())
    assert isinstance(refused, Limited)
    assert refused.scope == "number"
    await desk.accept(BOB, campaign=campaign, client=DELIVERY)


async def test_a_burst_is_taken_at_once_and_the_next_only_an_even_share_of_the_period_later(
    desk: Desk,
) -> None:
    client = replace(CHECKOUT, rate_limit=Rate(5, timedelta(seconds=100)))
    left = []
    for _ in range(5):
        answer = await desk.messages.accept(draft_of(client=client), new_message_id())
        assert isinstance(answer, Accepted)
        left.append(answer.remaining)
    refused = await desk.messages.accept(draft_of(client=client), new_message_id())
    assert left == [4, 3, 2, 1, 0]
    assert isinstance(refused, Limited)
    assert 19_000 < refused.retry_after_ms <= 20_000
    assert (refused.burst, refused.period_ms) == (5, 100_000)


async def _after(desk: Desk, ms: int) -> None:
    """As if that long had passed for the client's limit."""
    key = desk.db.key("rate", "checkout")
    at = float(await desk.db.read("GET", key))
    await desk.db.read("SET", key, f"{at - ms:.3f}", "KEEPTTL")


async def test_no_second_burst_at_a_windows_edge(desk: Desk) -> None:
    client = replace(CHECKOUT, rate_limit=Rate(5, timedelta(seconds=100)))
    for _ in range(5):
        await desk.accept(client=client)
    for _ in range(3):
        await _after(desk, 20_000)
        await desk.accept(client=client)
        assert isinstance(await desk.messages.accept(draft_of(client=client), new_message_id()), Limited)


async def test_the_wait_that_a_refusal_names_is_long_enough(desk: Desk) -> None:
    client = replace(CHECKOUT, rate_limit=Rate(2, timedelta(milliseconds=400)))
    await desk.accept(client=client)
    await desk.accept(client=client)
    refused = await desk.messages.accept(draft_of(client=client), new_message_id())
    assert isinstance(refused, Limited)
    assert 0 < refused.retry_after_ms <= 200
    await asyncio.sleep(refused.retry_after_ms / 1000 + 0.005)
    await desk.accept(client=client)


SUPERSEDING: CampaignConfig = replace(LOGIN, supersede_queued=True)


async def test_a_newer_code_cancels_the_older_one_that_is_still_queued(desk: Desk) -> None:
    old = await desk.accept(campaign=SUPERSEDING)
    new = await desk.accept(campaign=SUPERSEDING)
    assert await desk.state(old) == ("cancelled", "superseded")
    assert await desk.events_of(old) == ["message.cancelled"]
    assert [one.message_id for one in (await desk.lease(SUPERSEDING)).members] == [new]


async def test_a_newer_code_leaves_what_is_on_its_way_what_is_anothers_and_other_campaigns(
    desk: Desk,
) -> None:
    leased = await desk.accept(campaign=SUPERSEDING)
    await desk.lease(SUPERSEDING)
    others = [
        await desk.accept(campaign=SUPERSEDING, client=DELIVERY),
        await desk.accept(campaign=replace(SUPERSEDING, name="other")),
        await desk.accept(BOB, campaign=SUPERSEDING),
    ]
    await desk.accept(campaign=SUPERSEDING)
    assert await desk.state(leased) == ("submitting", None)
    assert {await desk.state(one) for one in others} == {("queued", None)}


async def test_a_newer_code_never_cancels_what_may_have_rung(desk: Desk) -> None:
    old = await desk.accept(campaign=SUPERSEDING)
    batch = await desk.sending(SUPERSEDING)
    await desk.batches.settle(batch, "ambiguous", "lost")
    await desk.outcomes.reconcile(batch.batch_id, "retry")
    await desk.accept(campaign=SUPERSEDING)
    assert await desk.state(old) == ("queued", None)


async def test_nothing_readable_of_number_code_or_body_is_in_redis(desk: Desk) -> None:
    await desk.accept(reference="login-8841", key="a-key")
    held = repr(await desk.dump()).encode()
    for clear in (b"901000001", b"004217", b"login-8841", b"a-key", b"outcomes"):
        assert clear not in held


@pytest.mark.parametrize("index", ("number", "reference"))
async def test_lists_show_a_clients_own_messages_newest_first_page_by_page(desk: Desk, index: str) -> None:
    sent = [await desk.accept(reference="r") for _ in range(5)]
    await desk.accept(client=DELIVERY, reference="r")
    page_of = desk.messages.by_number if index == "number" else desk.messages.by_reference
    seen, cursor = [], None
    for _ in range(3):
        page = await page_of("checkout", ALICE if index == "number" else "r", limit=2, cursor=cursor)
        seen += [one.id for one in page.messages]
        cursor = page.next_cursor
    assert cursor is None
    assert sorted(seen) == sorted(sent)
    times = [await desk.field(one, "at") for one in seen]
    assert times == sorted(times, key=str, reverse=True)
