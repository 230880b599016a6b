"""Many messages of two clients over two campaigns, with a provider that gives 37 rows a page."""

from __future__ import annotations

import asyncio
from collections import Counter

from app.sandbox.outcomes import outcome_of
from tests.workers.conftest import MakeRig

MESSAGES = 500
_CLIENTS = ("checkout", "delivery")
_CAMPAIGNS = ("login-otp", "order-notice")
_ENDINGS = ("4567", "0001", "0002", "0005", "0007", "0009", "0011", "0022")


async def test_500_messages_are_each_called_once_and_told_once_to_their_own_client(make_rig: MakeRig) -> None:
    rig = await make_rig(call_time_s=1.0)
    await rig.start_worker()
    await rig.fault("page_cap", rows=37)
    expected = {}
    for n in range(MESSAGES):
        number = f"+8490{n:03d}{_ENDINGS[n % len(_ENDINGS)]}"
        client, campaign = _CLIENTS[n % 2], _CAMPAIGNS[n // 2 % 2]
        message_id = await rig.send(number, campaign, client)
        expected[message_id] = (client, outcome_of(number).means)
    got = await rig.receiver.wait_for(MESSAGES, patience_s=40)

    told = {body["data"]["id"]: (client, _said(body["data"])) for client, body in got}
    assert told == expected
    assert len(got) == MESSAGES
    provider = await rig.provider()
    calls = Counter(call["number"] for call in provider["calls"])
    assert len(calls) == MESSAGES
    assert set(calls.values()) == {1}
    counts = provider["counts"]
    assert counts["tokens_made"] <= 2
    rows_a_call = counts["rows_served"] / MESSAGES
    print(f"tokens made: {counts['tokens_made']}, export rows read a call: {rows_a_call:.2f}")
    assert rows_a_call <= 8
    await asyncio.sleep(0)
    assert len(rig.receiver.got) == MESSAGES


def _said(message: dict[str, object]) -> str:
    return str(message["state"]) if message["reason"] is None else f"{message['state']}: {message['reason']}"
