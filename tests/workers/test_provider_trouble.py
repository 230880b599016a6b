"""What each of the provider's refusals, silences and faults does to messages."""

from __future__ import annotations

import asyncio

import pytest

from app.message import MessageId
from tests.workers.conftest import MakeRig
from tests.workers.rig import Rig


async def test_a_stopped_campaign_is_held_probed_and_released(make_rig: MakeRig) -> None:
    rig = await make_rig()
    await rig.fault("stopped_campaign")
    sent = [await rig.send(f"+8490123456{n}") for n in range(5)]
    short = await rig.send("+84901234577", ttl_s=2)
    assert (await rig.final(short)).message.reason == "campaign_stopped"
    status = await rig.database.read("HGET", rig.database.key("hold", "login-otp"), "reason")
    assert status == b"campaign_stopped"
    assert len((await rig.provider())["imports"]) < 10
    await rig.mend("stopped_campaign")
    for message_id in sent:
        assert (await rig.final(message_id)).message.state == "answered"
    assert await rig.database.read("EXISTS", rig.database.key("hold", "login-otp")) == 0
    assert await rig.calls_to("+84901234577") == []


async def test_an_unknown_campaign_holds_its_queue_until_it_expires(make_rig: MakeRig) -> None:
    rig = await make_rig()
    await rig.fault("unknown_campaign")
    shown = await rig.final(await rig.send("+84901234567", ttl_s=1.5))
    assert (shown.message.state, shown.message.reason) == ("expired", "campaign_invalid")


async def test_a_poisoned_contact_is_found_by_halving_and_harms_no_other(make_rig: MakeRig) -> None:
    rig = await make_rig(worker=False)
    good = [await rig.send(f"+849012345{n:02d}") for n in range(20)]
    bad = await rig.send("+84901230044")
    await rig.start_worker()
    assert (await rig.final(bad)).message.reason == "invalid_contact"
    for message_id in good:
        assert (await rig.final(message_id)).message.state == "answered"
    assert [len(await rig.calls_to(f"+849012345{n:02d}")) for n in range(20)] == [1] * 20


async def test_a_contact_skipped_without_a_word_is_rejected(make_rig: MakeRig) -> None:
    rig = await make_rig()
    good, bad = await rig.send("+84901234567"), await rig.send("+84901230043")
    assert (await rig.final(bad)).message.reason == "not_accepted"
    assert (await rig.final(good)).message.state == "answered"


async def test_a_contact_skipped_for_an_unfinished_call_waits_for_its_end(make_rig: MakeRig) -> None:
    rig = await make_rig(call_time_s=1.0)
    await rig.fault("skip_while_calling")
    first, second = await rig.send("+84901234567"), await rig.send("+84901234567")
    assert (await rig.final(first)).message.state == "answered"
    assert (await rig.final(second)).message.state == "answered"
    assert len(await rig.calls_to("+84901234567")) == 2


async def test_a_dead_token_is_replaced_once_for_all(make_rig: MakeRig) -> None:
    rig = await make_rig()
    await rig.start_worker()
    await rig.final(await rig.send("+84901234567"))
    await rig.sandbox.post("/sandbox/tokens/kill")
    sent = [await rig.send(f"+849012346{n:02d}") for n in range(20)]
    for message_id in sent:
        assert (await rig.final(message_id)).message.state == "answered"
    assert (await rig.provider())["counts"]["tokens_made"] == 2


async def test_a_refused_secret_key_locks_the_account_and_is_not_asked_again_at_once(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(worker=False)
    await rig.fault("secret_key_rejected")
    await rig.start_worker()
    shown = await rig.final(await rig.send("+84901234567", ttl_s=2))
    assert (shown.message.state, shown.message.reason) == ("expired", "account_locked")
    assert rig.logs().count("secret key refused") == 1


@pytest.mark.parametrize("fault", ("error_after", "reset_after", "garbage_body", "half_body"))
async def test_an_import_that_was_taken_though_its_answer_was_lost_is_found(
    make_rig: MakeRig, fault: str
) -> None:
    rig = await make_rig(login_otp='reconcile_window = "20s"')
    await rig.fault(fault, times=1)
    shown = await rig.final(await rig.send("+84901234567"))
    assert shown.message.state == "answered"
    assert len(await rig.calls_to("+84901234567")) == 1
    assert "import ambiguous" in [step.event for step in shown.timeline]


@pytest.mark.parametrize("fault", ("error_before", "reset_before"))
async def test_an_import_that_no_export_shows_goes_again_where_the_campaign_allows_it(
    make_rig: MakeRig, fault: str
) -> None:
    rig = await make_rig()
    await rig.fault(fault, times=2)
    code = await rig.send("+84901234567")
    notice = await rig.send("+84901234568", campaign="order-notice")
    assert (await rig.final(code)).message.state == "answered"
    assert (await rig.final(notice)).message.reason == "ambiguous_import"
    assert len(await rig.calls_to("+84901234567")) == 1
    assert await rig.calls_to("+84901234568") == []


@pytest.mark.parametrize(
    ("fault", "params"),
    (
        ("rate_limited", {"times": 2, "retry_after_s": 1}),
        ("too_large", {"above": 3}),
        ("error_status", {"status": 200}),
        ("code_as_number", {}),
        ("call_id_kind", {"in_import": "empty"}),
        ("number_spelling", {"spelling": "e164", "in_results": True}),
        ("late_rows", {}),
        ("foreign_rows", {}),
        ("clock_offset", {"seconds": 240}),
        ("clock_offset", {"seconds": -240}),
        ("growing_total", {}),
        ("row_order", {"order": "shuffled"}),
    ),
)
async def test_messages_come_through_whichever_way_the_provider_turns_out(
    make_rig: MakeRig, fault: str, params: dict[str, object]
) -> None:
    rig = await make_rig(worker=False)
    await rig.fault(fault, **params)
    sent = [await rig.send(f"+849012345{n:02d}") for n in range(10)]
    await rig.start_worker()
    for message_id in sent:
        assert (await rig.final(message_id)).message.state == "answered"
    assert [len(await rig.calls_to(f"+849012345{n:02d}")) for n in range(10)] == [1] * 10


async def test_a_provider_that_is_away_loses_nothing(make_rig: MakeRig) -> None:
    rig = await make_rig()
    await rig.fault("reset_before", on="token", times=3)
    assert (await rig.final(await rig.send("+84901234567"))).message.state == "answered"


async def test_a_callback_is_tried_again_under_the_same_id_until_it_is_received(make_rig: MakeRig) -> None:
    rig = await make_rig()
    rig.receiver.statuses = [500, 503]
    message_id = await rig.send("+84901234567")
    got = await rig.receiver.wait_for(3)
    assert len(set(rig.receiver.ids)) == 1
    assert got[0] == got[1] == got[2]
    await _delivery(rig, message_id, "delivered")


async def test_a_callback_that_is_gone_is_dead_at_once_and_can_be_replayed(make_rig: MakeRig) -> None:
    rig = await make_rig()
    rig.receiver.statuses = [410]
    message_id = await rig.send("+84901234567")
    await rig.receiver.wait_for(1)
    event_id = await _delivery(rig, message_id, "dead")
    assert await rig.database.run("replay_event", event_id, "checkout", 3_600_000) == b"queued"
    await rig.receiver.wait_for(2)
    assert rig.receiver.ids == [event_id, event_id]
    await _delivery(rig, message_id, "delivered")


async def _delivery(rig: Rig, message_id: MessageId, state: str) -> str:
    async with asyncio.timeout(10):
        while True:
            shown = await rig.show(message_id)
            if shown.callbacks and shown.callbacks[-1].state == state:
                return str(shown.callbacks[-1].event_id)
            await asyncio.sleep(0.05)
