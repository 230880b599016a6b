"""From an accepted message to its verified callback, through a real worker and the sandbox."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import pytest

from app.sandbox.outcomes import MAGIC, Effect
from tests.workers.conftest import MakeRig
from tests.workers.rig import PATIENCE_S

_SETTLED_BY_CALL = [
    one for one in MAGIC if one.effect in (Effect.CALL, Effect.UNDATED, Effect.UNLISTED) and one.slowness == 1
]


async def test_a_code_is_spoken_and_its_outcome_arrives_signed(make_rig: MakeRig) -> None:
    rig = await make_rig()
    message_id = await rig.send("+84901234567", danh_xung="anh", ho_ten="Nguyễn Văn Á")
    [(client, body)] = await rig.receiver.wait_for(1)
    assert (client, body["type"], body["data"]["id"]) == ("checkout", "message.answered", message_id)
    assert body["data"]["call"]["keys"] == ["1"]
    [call] = await rig.calls_to("+84901234567")
    spoken = (await rig.sandbox.get(f"/sandbox/calls/{call['call_id']}/spoken")).json()
    assert spoken["otp_code"] == "004217"
    assert spoken["variables"] == {"danh_xung": "anh", "ho_ten": "Nguyễn Văn Á"}
    async with asyncio.timeout(PATIENCE_S):
        while (shown := await rig.show(message_id)).callbacks[-1].state != "delivered":  # noqa: ASYNC110  another process tells no other way
            await asyncio.sleep(0.02)  # the receiver has answered, and the worker writes so a moment later
    assert [step.event for step in shown.timeline] == ["accepted", "submitted", "final", "callback delivered"]
    assert "004217" not in rig.logs()
    assert "901234567" not in rig.logs()


async def test_a_settled_message_holds_no_code_in_redis(make_rig: MakeRig) -> None:
    rig = await make_rig()
    message_id = await rig.send("+84901234567")
    await rig.final(message_id)
    assert await rig.database.read("HEXISTS", rig.database.key("m", message_id), "c") == 0


async def test_each_magic_number_ends_as_its_table_says(make_rig: MakeRig) -> None:
    rig = await make_rig()
    sent = {one.ending: await rig.send(f"+8490123{one.ending}") for one in _SETTLED_BY_CALL}
    for one in _SETTLED_BY_CALL:
        message = (await rig.final(sent[one.ending])).message
        said = message.state.value if message.reason is None else f"{message.state}: {message.reason}"
        assert said == one.means.split(";")[0], one.ending


@pytest.mark.parametrize("source", ("campaign_export", "account_call_log"))
async def test_outcomes_come_from_the_source_that_is_configured(make_rig: MakeRig, source: str) -> None:
    rig = await make_rig(account=f'outcomes_from = "{source}"')
    one = await rig.send("+84901234567")
    other = await rig.send("+84901230001", campaign="order-notice")
    assert (await rig.final(one)).message.state == "answered"
    assert (await rig.final(other)).message.reason == "busy"


async def test_two_codes_for_one_number_are_called_one_after_the_other(make_rig: MakeRig) -> None:
    rig = await make_rig()
    first = await rig.send("+84901234567", code="111111")
    second = await rig.send("+84901234567", code="222222")
    assert (await rig.final(first)).message.state == "answered"
    assert (await rig.final(second)).message.state == "answered"
    calls = await rig.calls_to("+84901234567")
    assert len(calls) == 2
    assert len({call["call_id"] for call in calls}) == 2
    assert all(
        len(set(batch["numbers"])) == len(batch["numbers"]) for batch in (await rig.provider())["imports"]
    )


async def test_a_message_expires_where_no_worker_is_and_is_never_called(make_rig: MakeRig) -> None:
    rig = await make_rig(worker=False)
    message_id = await rig.send("+84901234567", ttl_s=0.1)
    living = await rig.send("+84901234568")
    await rig.start_worker()
    assert (await rig.final(living)).message.state == "answered"
    assert (await rig.final(message_id)).message.reason == "backlog"
    assert await rig.calls_to("+84901234567") == []


async def test_no_outcome_by_the_timeout_ends_undetermined(make_rig: MakeRig) -> None:
    rig = await make_rig(login_otp='outcome_timeout = "2s"')
    shown = await rig.final(await rig.send("+84901230042"))
    assert (shown.message.state, shown.message.reason) == ("undetermined", "no_outcome")


async def test_a_redial_inside_its_window_outweighs_the_failure(make_rig: MakeRig) -> None:
    rig = await make_rig(login_otp='redial_window = "5s"')
    shown = await rig.final(await rig.send("+84901230031"))
    assert shown.message.state == "answered"


async def test_a_redial_that_stands_on_a_page_before_its_first_call_still_counts(make_rig: MakeRig) -> None:
    rig = await make_rig(call_time_s=0.2, login_otp='redial_window = "200ms"')
    await rig.fault("page_cap", rows=1)
    await rig.fault("error_before", on="export")
    message_id = await rig.send("+84901230031")
    async with asyncio.timeout(PATIENCE_S):
        while [call["state"] for call in await rig.calls_to("+84901230031")] != [50, 40]:  # noqa: ASYNC110  another process tells no other way
            await asyncio.sleep(0.05)
    await rig.mend("error_before")
    assert (await rig.final(message_id)).message.state == "answered"


async def test_plain_arq_runs_the_worker_and_sigterm_ends_it_at_once(make_rig: MakeRig) -> None:
    rig = await make_rig(worker=False)
    worker = await rig.start_worker(
        str(Path(sys.executable).with_name("arq")), "workers.settings.WorkerSettings"
    )
    message_id = await rig.send("+84901234567")
    assert (await rig.final(message_id)).message.state == "answered"
    asked = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert await worker.wait() == 0
    assert time.monotonic() - asked < 5
    assert "Traceback" not in rig.logs()
