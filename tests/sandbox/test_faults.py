import asyncio
import time

import httpx
import pytest

from app.sandbox.faults import FAULTS
from tests.sandbox.desk import OTP, Desk, contact


async def calls_made(desk: Desk) -> int:
    return len((await desk.state())["calls"])


@pytest.mark.parametrize(("fault", "made"), (("reset_before", 0), ("reset_after", 1)))
async def test_a_reset_connection_may_or_may_not_have_taken(desk: Desk, fault: str, made: int) -> None:
    await desk.fault(fault, times=1)
    await desk.make_token()
    with pytest.raises(httpx.ReadError):
        await desk.send(contact("0901234567"))
    assert await calls_made(desk) == made
    assert [(entry["taken"], entry["fault"]) for entry in (await desk.state())["imports"]] == [
        (bool(made), fault)
    ]


@pytest.mark.parametrize(("fault", "made"), (("error_before", 0), ("error_after", 1)))
async def test_a_500_with_html_may_or_may_not_have_taken(desk: Desk, fault: str, made: int) -> None:
    await desk.fault(fault, times=1)
    answer = await desk.send(contact("0901234567"))
    assert answer.status_code == 500
    assert "<html>" in answer.text
    assert await calls_made(desk) == made


async def test_half_an_answer_is_a_broken_one(desk: Desk) -> None:
    await desk.fault("half_body", times=1)
    await desk.make_token()
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        await desk.send(contact("0901234567"))
    assert await calls_made(desk) == 1


async def test_garbage_is_200_and_no_json_though_taken(desk: Desk) -> None:
    await desk.fault("garbage_body", times=1)
    answer = await desk.send(contact("0901234567"))
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"."):
        answer.json()
    assert await calls_made(desk) == 1


@pytest.mark.parametrize(("when", "made"), (("before", 0), ("after", 1)))
async def test_a_hung_import_never_answers(desk: Desk, when: str, made: int) -> None:
    await desk.fault("hang", times=1, when=when)
    await desk.make_token()
    desk.http.timeout = httpx.Timeout(0.3)
    with pytest.raises(httpx.ReadTimeout):
        await desk.send(contact("0901234567"))
    assert await calls_made(desk) == made


async def test_a_slow_import_is_taken_though_its_client_has_gone(desk: Desk) -> None:
    await desk.fault("slow", times=1, delay_ms=400)
    await desk.make_token()
    desk.http.timeout = httpx.Timeout(0.1)
    with pytest.raises(httpx.ReadTimeout):
        await desk.send(contact("0901234567"))
    desk.http.timeout = httpx.Timeout(5)
    await desk.rows_when(lambda rows: len(rows) == 1)


async def test_too_many_is_429_with_retry_after(desk: Desk) -> None:
    await desk.fault("rate_limited", times=1, retry_after_s=7)
    answer = await desk.send(contact("0901234567"))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert await calls_made(desk) == 0


async def test_413_strikes_only_imports_above_its_size(desk: Desk) -> None:
    await desk.fault("too_large", above=1)
    assert (await desk.send(contact("0901234567"))).status_code == 200
    assert (await desk.send(contact("0901234568"), contact("0901234569"))).status_code == 413
    assert await calls_made(desk) == 1


@pytest.mark.parametrize(
    ("fault", "code"), (("stopped_campaign", "03"), ("unknown_campaign", "01"), ("malformed_contacts", "400"))
)
async def test_a_fault_may_be_for_one_campaign_and_a_number_of_times(
    desk: Desk, fault: str, code: str
) -> None:
    await desk.fault(fault, times=2, campaign="sandbox-order-notice")
    assert (await desk.send(contact("0901234567"))).json()["status"] == 1
    for expected in (code, code, None):
        body = (await desk.send(contact("0901234568", None), campaign="sandbox-order-notice")).json()
        assert body.get("code") == expected


async def test_a_dead_token_and_a_rejected_secret_key_are_401(desk: Desk) -> None:
    await desk.make_token()
    await desk.fault("dead_token", times=1)
    assert (await desk.export())["code"] == "401"
    assert (await desk.export())["status"] == 1
    await desk.fault("secret_key_rejected", times=1)
    assert (await desk.make_token())["code"] == "401"


async def test_a_refusal_may_travel_under_any_status_and_its_code_as_a_number(desk: Desk) -> None:
    await desk.http.post(f"/sandbox/campaigns/{OTP}/stop")
    await desk.fault("code_as_number")
    await desk.fault("error_status")
    answer = await desk.send(contact("0901234567"))
    assert (answer.status_code, answer.json()["code"]) == (409, 3)
    await desk.fault("error_status", status=503, html=True)
    answer = await desk.send(contact("0901234567"))
    assert (answer.status_code, answer.text[:6]) == (503, "<html>")


async def test_every_fault_can_be_switched_on_with_its_defaults_and_all_off_again(desk: Desk) -> None:
    for name in FAULTS:
        await desk.fault(name)
    listed = (await desk.http.get("/sandbox/faults")).json()
    assert set(listed["active"]) == set(FAULTS) == set(listed["known"])
    assert all(known["says"] for known in listed["known"].values())
    await desk.http.delete("/sandbox/faults/slow")
    assert set((await desk.state())["faults"]) == set(FAULTS) - {"slow"}
    await desk.http.delete("/sandbox/faults")
    assert (await desk.state())["faults"] == {}


async def test_an_unknown_fault_names_those_there_are(desk: Desk) -> None:
    answer = await desk.http.put("/sandbox/faults/nope", json={})
    assert (answer.status_code, answer.json()["faults"]) == (404, list(FAULTS))


@pytest.mark.parametrize("params", ({"delay_ms": "5"}, {"delay": 5}, {"times": 0}, {"on": "all"}, [], 5))
async def test_a_parameter_at_fault_is_told_and_nothing_switched(desk: Desk, params: object) -> None:
    answer = await desk.http.put("/sandbox/faults/slow", json=params)
    assert answer.status_code == 422
    assert answer.json()["error"]
    assert (await desk.state())["faults"] == {}


async def test_a_slow_call_keeps_no_other_waiting(desk: Desk) -> None:
    await desk.make_token()
    await desk.fault("slow", delay_ms=1500, on="import", times=1)
    slow = asyncio.create_task(desk.send(contact("0901234567")))
    before = time.monotonic()
    await desk.state_when(lambda state: "slow" not in state["faults"])
    assert (await desk.export())["status"] == 1
    assert time.monotonic() - before < 1.4
    assert (await slow).json()["status"] == 1
