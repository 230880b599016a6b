"""What each of the provider's refusals, silences and faults does to messages."""

from __future__ import annotations

import pytest

from tests.workers.conftest import MakeRig


async def test_an_unknown_campaign_holds_its_queue_until_it_expires(make_rig: MakeRig) -> None:
    rig = await make_rig()
    await rig.fault("unknown_campaign")
    shown = await rig.final(await rig.send("+84901234567", ttl_s=1.5))
    assert (shown.message.state, shown.message.reason) == ("expired", "campaign_invalid")


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
