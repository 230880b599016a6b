"""What a configuration may not take away, in each state that a message can be in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import pytest

from app.config import CampaignConfig, Config
from app.message import MessageId
from app.store.in_use import InUse, InUseError, in_use, refuse_in_use
from tests.config.sample import LEAST, read
from tests.store.desk import ACCOUNT, ALICE, BOB, CHECKOUT, DELIVERY, LOGIN, SOURCE, Desk, ids_of

SCRIPTS = ("remember",)

NOTICE = replace(LOGIN, name="order-notice", campaign_id="c2", kind="notification")
OTHER = replace(LOGIN, name="other", campaign_id="c3")
SECOND = replace(ACCOUNT, name="second")
WHOLE = replace(
    read(LEAST),
    accounts={"main": ACCOUNT, "second": SECOND},
    campaigns={"login-otp": LOGIN, "order-notice": NOTICE},
    clients={"checkout": CHECKOUT, "delivery": DELIVERY},
)


def _with(**campaigns: CampaignConfig | None) -> Config:
    """The whole configuration with a campaign changed, or left out."""
    changes: Mapping[str, CampaignConfig | None] = {
        name.replace("_", "-"): each for name, each in campaigns.items()
    }
    left = {name: each for name, each in {**WHOLE.campaigns, **changes}.items() if each is not None}
    return replace(WHOLE, campaigns=left)


def _without_client(name: str) -> Config:
    return replace(WHOLE, clients={one: each for one, each in WHOLE.clients.items() if one != name})


@pytest.fixture
async def known(desk: Desk) -> Desk:
    """A desk whose Redis has seen the whole configuration."""
    await refuse_in_use(desk.db, WHOLE)
    return desk


async def _queued(desk: Desk) -> MessageId:
    return await desk.accept()


async def _leased(desk: Desk) -> MessageId:
    await desk.accept()
    return ids_of(await desk.lease())[0]


async def _sending(desk: Desk) -> MessageId:
    await desk.accept()
    return ids_of(await desk.sending())[0]


async def _ambiguous(desk: Desk) -> MessageId:
    await desk.accept()
    batch = await desk.sending()
    await desk.batches.settle(batch, "ambiguous", "read timeout")
    return ids_of(batch)[0]


async def _submitted(desk: Desk) -> MessageId:
    return await desk.submitted(call_id="1")


async def _parked(desk: Desk) -> MessageId:
    """Beside one that is submitted, for the number's earlier call has no id."""
    await desk.submitted()
    waiting = await desk.accept()
    await desk.no_lease()
    return waiting


STATES: dict[str, tuple[Callable[[Desk], Awaitable[MessageId]], int]] = {
    "queued": (_queued, 1),
    "leased": (_leased, 1),
    "being sent": (_sending, 1),
    "ambiguous": (_ambiguous, 1),
    "submitted": (_submitted, 1),
    "waiting for its number": (_parked, 2),
}


@pytest.mark.parametrize(("put", "count"), STATES.values(), ids=STATES)
async def test_a_campaign_and_a_client_stay_while_a_message_is_not_final(
    known: Desk, put: Callable[[Desk], Awaitable[MessageId]], count: int
) -> None:
    await put(known)
    assert await in_use(known.db, _with(login_otp=None)) == [InUse("campaigns.login-otp", "nothing", count)]
    assert await in_use(known.db, _without_client("checkout")) == [
        InUse("clients.checkout", "nothing", count)
    ]
    assert await in_use(known.db, _with(order_notice=None)) == []
    assert await in_use(known.db, _without_client("delivery")) == []
    assert await in_use(known.db, WHOLE) == []


@pytest.mark.parametrize(
    ("changed", "how"),
    (
        ({"account": "second"}, "account second in place of main"),
        ({"kind": "notification"}, "kind notification in place of voice_otp"),
    ),
)
async def test_a_campaign_keeps_its_account_and_kind_while_a_message_is_queued(
    known: Desk, changed: dict[str, str], how: str
) -> None:
    await known.accept()
    [found] = await in_use(known.db, _with(login_otp=replace(LOGIN, **changed)))  # type: ignore[arg-type]
    assert (found.key, found.how, found.messages) == ("campaigns.login-otp", how, 1)


async def test_where_outcomes_are_asked_for_stays_while_a_call_is_under_way_and_not_for_what_is_only_queued(
    known: Desk,
) -> None:
    another = _with(login_otp=replace(LOGIN, campaign_id="c9"))
    by_account = replace(
        WHOLE, accounts={**WHOLE.accounts, "main": replace(ACCOUNT, outcomes_from="account_call_log")}
    )
    await known.accept()
    assert await in_use(known.db, another) == []
    await known.sending()
    for config in (another, by_account):
        [found] = await in_use(known.db, config)
        assert (found.key, found.messages) == ("campaigns.login-otp", 1)
        assert "campaign_id" in found.how


async def test_what_is_final_and_told_keeps_nothing(known: Desk) -> None:
    await known.answered()
    [found] = await in_use(known.db, _without_client("checkout"))
    assert (found.messages, found.callbacks) == (0, 1)
    [event] = await known.claim()
    await known.events.settle(event, "delivered", status=204, error=None, retry_in_ms=0)
    assert await in_use(known.db, _without_client("checkout")) == []
    assert await in_use(known.db, _with(login_otp=None)) == []


async def test_who_ended_is_not_counted_though_the_others_of_its_batch_wait(known: Desk) -> None:
    ended, _ = await known.accept(), await known.accept(BOB)
    batch = await known.sending()
    await known.batches.settle(batch, "ambiguous", "half a body", taken={ended: "1"})
    assert (await known.row(call_id="1")).state == "answered"
    [found] = await in_use(known.db, _with(login_otp=None))
    assert found.messages == 1


async def test_campaigns_that_share_a_source_are_told_apart(desk: Desk) -> None:
    shared = replace(WHOLE.accounts["main"], outcomes_from="account_call_log")
    config = replace(WHOLE, accounts={**WHOLE.accounts, "main": shared})
    await refuse_in_use(desk.db, config)
    await desk.accept()
    batch = await desk.batches.lease(LOGIN, shared)
    await desk.batches.mark_sending(batch, lease_ms=15_000)  # type: ignore[arg-type]
    await desk.batches.settle(batch, "missing", taken={ids_of(batch)[0]: "1"})  # type: ignore[arg-type]
    left = replace(config, campaigns={"order-notice": NOTICE})
    assert [one.messages for one in await in_use(desk.db, left)] == [1]
    assert await in_use(desk.db, replace(config, campaigns={"login-otp": LOGIN})) == []


async def test_all_are_told_at_once_with_what_to_do(known: Desk) -> None:
    await known.accept()
    await known.accept(BOB, client=DELIVERY, campaign=NOTICE)
    with pytest.raises(InUseError) as refused:
        await refuse_in_use(known.db, replace(WHOLE, campaigns={"other": OTHER}, clients={}))
    lines = str(refused.value.in_file("relay.toml")).splitlines()
    assert [line.split(": found")[0] for line in lines] == [
        "relay.toml: campaigns.login-otp", "relay.toml: campaigns.order-notice",
        "relay.toml: clients.checkout", "relay.toml: clients.delivery",
    ]  # fmt: skip
    assert "found nothing, expected it as it was, for it has 1 message that is not final" in lines[0]
    assert "drain it (POST /v1/admin/campaigns/login-otp/drain)" in lines[0]
    assert ALICE not in str(lines)


async def test_a_refused_configuration_is_not_remembered_and_one_that_is_taken_is(known: Desk) -> None:
    message_id = await known.accept()
    with pytest.raises(InUseError):
        await refuse_in_use(known.db, _with(login_otp=None, other=OTHER))
    assert b"campaigns/other" not in await known.db.read("HKEYS", known.db.key("configured"))
    await known.messages.cancel(message_id, "checkout")
    await refuse_in_use(known.db, _with(login_otp=None, other=OTHER))
    assert b"campaigns/other" in await known.db.read("HKEYS", known.db.key("configured"))


async def test_what_an_api_with_an_older_configuration_still_accepts_is_missed_too(known: Desk) -> None:
    await refuse_in_use(known.db, _with(login_otp=None))
    await known.accept()
    [found] = await in_use(known.db, _with(login_otp=None))
    assert found.key == "campaigns.login-otp"


async def test_what_is_remembered_is_written_also_when_redis_is_full(desk: Desk) -> None:
    used = (await desk.db.read("INFO", "memory")).split(b"used_memory:")[1].split(b"\r")[0]
    await desk.db.read("CONFIG", "SET", "maxmemory", max(1, int(used) // 2))
    try:
        await refuse_in_use(desk.db, WHOLE)
    finally:
        await desk.db.read("CONFIG", "SET", "maxmemory", 0)
    assert await desk.db.read("HGET", desk.db.key("configured"), "campaigns/login-otp") == (
        f"main voice_otp {SOURCE}".encode()
    )
