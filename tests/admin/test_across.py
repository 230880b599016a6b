"""Operators look at messages and callbacks of all clients, see no code and no whole number, and replay callbacks."""

from __future__ import annotations

import pytest

from app.message import CallbackState
from app.store import admin_rows
from tests.api.desk import CODE, NUMBER, RECEIVER, Api, Json, assert_problem, pointers

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def listed(api: Api, **params: str | int) -> list[Json]:
    answer = await api.get("/v1/admin/messages", of="admin", **params)
    assert answer.status_code == 200, answer.text
    _shows_nothing(answer.text)
    return list(answer.json()["data"])


def _shows_nothing(text: str) -> None:
    assert CODE not in text
    assert NUMBER[-9:] not in text
    for secret in ("Văn", "c0ffee", "token=1"):
        assert secret not in text


async def _ids(api: Api, **params: str | int) -> list[str]:
    return [one["id"] for one in await listed(api, **params)]


async def _told(api: Api) -> Json:
    """A message full of what no operator is to see."""
    return await api.sent(
        variables={"ho_ten": "Nguyễn Văn A"},
        metadata={"session": "c0ffee"},
        callback_url=f"{RECEIVER}/checkout?token=1",
        reference="login-1",
    )


async def test_a_message_is_shown_masked_with_whose_it_is_and_where_its_callback_goes(api: Api) -> None:
    sent = await _told(api)
    answer = await api.get(f"/v1/admin/messages/{sent['id']}", of="admin")
    _shows_nothing(answer.text)
    shown = answer.json()
    assert (shown["client"], shown["phone_number"], shown["reference"]) == (
        "checkout",
        "+84901***567",
        "login-1",
    )
    assert shown["destination"] == RECEIVER
    assert [one["event"] for one in shown["timeline"]] == ["accepted"]
    assert shown["callbacks"] == []
    assert shown.keys().isdisjoint({"variables", "metadata", "otp_code", "callback_url"})


async def test_a_call_is_shown_without_what_was_pressed(api: Api) -> None:
    sent = await api.sent()
    await api.answered(sent["id"], keys=["7", "7"])
    shown = (await api.get(f"/v1/admin/messages/{sent['id']}", of="admin")).json()
    assert shown["call"]["note"] == "NORMAL CLEARING"
    assert "key_press" not in shown["call"]
    assert "keys" not in shown["call"]


async def test_messages_of_all_clients_are_found_by_number_and_by_reference(api: Api) -> None:
    mine = await api.sent(reference="a")
    theirs = await api.sent(of="delivery", reference="a")
    await api.sent(of="delivery", phone_number="0901234568", reference="b")
    for params in ({"phone_number": "0901 234 567"}, {"phone_number": NUMBER}, {"reference": "a"}):
        assert await _ids(api, **params) == [theirs["id"], mine["id"]]
    assert await _ids(api, reference="a", client="checkout") == [mine["id"]]
    assert await _ids(api, reference="a", campaign="order-notice") == []
    assert await _ids(api, reference="a", state="queued") == [theirs["id"], mine["id"]]
    assert await _ids(api, reference="a", state="answered") == []


async def test_messages_are_found_by_each_state(api: Api) -> None:
    cancelled = (await api.cancelled())["id"]
    answered = (await api.sent(of="delivery"))["id"]
    await api.answered(answered)
    submitted = (await api.sent())["id"]
    await api.submitted(submitted)
    submitting = (await api.sent(phone_number="0901234568"))["id"]
    await api.lease("login-otp")
    queued = (await api.sent(phone_number="0901234569"))["id"]
    parked = (await api.sent(phone_number="0901234568", of="delivery"))["id"]
    await api.lease("order-notice")
    found = {
        state: await _ids(api, state=state)
        for state in ("cancelled", "answered", "submitted", "submitting", "queued", "failed")
    }
    assert found == {
        "cancelled": [cancelled], "answered": [answered], "submitted": [submitted], "submitting": [submitting],
        "queued": [parked, queued], "failed": [],
    }  # fmt: skip
    for state in ("cancelled", "submitted", "submitting"):
        assert await _ids(api, state=state, client="delivery") == []
        assert await _ids(api, state=state, campaign="order-notice") == []


async def test_lists_have_pages_over_all_clients(api: Api) -> None:
    sent = [(await api.cancelled(of=("checkout", "delivery")[n % 2]))["id"] for n in range(5)]
    found, cursor = list[str](), None
    for _ in range(3):
        params = {"state": "cancelled", "limit": "2"} | ({} if cursor is None else {"cursor": cursor})
        page = (await api.get("/v1/admin/messages", of="admin", **params)).json()
        found += [one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
    assert found == sent[::-1]
    assert cursor is None


async def test_a_search_that_would_take_long_is_cut_and_leads_on(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_rows, "_AT_ONCE", 2)
    monkeypatch.setattr(admin_rows, "SEARCHED_MOST", 2)
    wanted = (await api.sent())["id"]
    await api.answered(wanted)
    for n in range(7):
        await api.cancelled(phone_number=f"090123450{n}")
    found, cursor, asked = list[str](), None, 0
    while asked == 0 or cursor is not None:
        params = {"state": "answered"} | ({} if cursor is None else {"cursor": cursor})
        page = (await api.get("/v1/admin/messages", of="admin", **params)).json()
        found += [one["id"] for one in page["data"]]
        cursor, asked = page["next_cursor"], asked + 1
    assert found == [wanted]
    assert asked > 2


@pytest.mark.parametrize("params", (
    {}, {"client": "checkout"}, {"state": "ringing"}, {"state": "queued", "client": "nobody"},
    {"state": "queued", "campaign": "nothing"}, {"reference": "a", "phone_number": "0901234567"},
    {"phone_number": "12"}, {"state": "queued", "cursor": "x"}, {"state": "queued", "limit": "0"},
), ids=("nothing", "client", "state", "nobody", "campaign", "both", "number", "cursor", "limit"))  # fmt: skip
async def test_a_search_at_fault_is_refused(api: Api, params: dict[str, str]) -> None:
    assert_problem(await api.get("/v1/admin/messages", of="admin", **params), 422, "invalid-request")


async def test_a_message_that_is_not_there_is_not_found(api: Api) -> None:
    assert_problem(await api.get("/v1/admin/messages/msg_gone", of="admin"), 404, "not-found")


async def test_a_record_that_no_key_opens_is_shown_as_far_as_it_stands_in_the_clear(api: Api) -> None:
    sent = await api.sent()
    await api.redis_says("HSET", f"relay:{{0}}:m:{sent['id']}", "b", b"sealed by a lost key")
    (shown,) = await listed(api, state="queued")
    assert (shown["id"], shown["phone_number"], shown["reference"]) == (sent["id"], "***", None)


# Callbacks -----------------------------------------------------------------------------------------------------------


async def deliveries(api: Api, **params: str | int) -> list[tuple[str, str]]:
    """Of each, whose it is and its event."""
    answer = await api.get("/v1/admin/callbacks", of="admin", **params)
    assert answer.status_code == 200, answer.text
    _shows_nothing(answer.text)
    return [(one["client"], one["event_id"]) for one in answer.json()["data"]]


async def test_deliveries_of_all_clients_are_listed_by_state_and_destination(api: Api) -> None:
    mine = (await api.cancelled(callback_url=f"{RECEIVER}/checkout?token=1"))["event"]
    theirs = (await api.cancelled(of="delivery", callback_url="https://checkout.internal/x"))["event"]
    assert await deliveries(api, state="pending") == [("delivery", theirs), ("checkout", mine)]
    await api.deliver("dead")
    late = (await api.cancelled())["event"]
    await api.deliver("delivered")
    assert await deliveries(api) == [("delivery", theirs), ("checkout", mine)]
    assert await deliveries(api, state="delivered") == [("checkout", late)]
    assert await deliveries(api, state="pending") == []
    assert await deliveries(api, client="checkout") == [("checkout", mine)]
    assert await deliveries(api, destination="https://checkout.internal") == [("delivery", theirs)]
    wrong = await api.get("/v1/admin/callbacks", of="admin", destination="checkout", state="none", client="x")
    assert len(assert_problem(wrong, 422, "invalid-request")["errors"]) == 3


async def test_one_callback_of_any_client_is_sent_again_and_recorded_once(api: Api) -> None:
    event = (await api.cancelled())["event"]
    await api.deliver("dead")
    path = f"/v1/admin/callbacks/{event}/replay"
    assert (
        await api.post({"reason": "receiver mended", "by": "mai"}, path=path, of="admin")
    ).status_code == 202
    assert (await api.ask("POST", path, of="admin")).status_code == 202
    assert await api.in_state(CallbackState.PENDING) == [event]
    (one,) = (await api.get("/v1/admin/actions", of="admin")).json()["data"]
    assert (one["action"], one["event_id"], one["reason"], one["by"]) == (
        "replay_callback", event, "receiver mended", "mai",
    )  # fmt: skip
    gone = await api.ask("POST", "/v1/admin/callbacks/evt_gone/replay", of="admin")
    assert_problem(gone, 404, "not-found")


async def test_a_callback_that_has_nowhere_to_go_is_a_conflict(api: Api) -> None:
    silent = await api.sent(of="notices", campaign="order-notice", otp_code=None)
    assert (await api.ask("DELETE", f"/v1/messages/{silent['id']}", of="notices")).status_code == 200
    event = (await api.get(f"/v1/messages/{silent['id']}", of="notices")).json()["callback"]["event_id"]
    answer = await api.ask("POST", f"/v1/admin/callbacks/{event}/replay", of="admin")
    assert_problem(answer, 409, "no-callback")


async def test_a_redrive_is_recorded_and_handed_to_the_workers_for_each_client(api: Api) -> None:
    body = {"since": "2026-11-24T00:00:00Z", "destination": "https://checkout.internal/x", "reason": "mended"}
    answer = await api.post(body, path="/v1/admin/callbacks/replay", of="admin")
    assert (answer.status_code, answer.json()) == (202, {"status": "queued"})
    (one,) = (await api.get("/v1/admin/actions", of="admin")).json()["data"]
    assert one["action"] == "replay_callbacks"
    assert one["detail"] == (
        "since=2026-11-24T00:00:00.000Z state=dead client=* destination=https://checkout.internal:443"
    )
    assert await api.redis_says("ZCARD", "relay:arq") == 3
    again = await api.post({**body, "client": "checkout"}, path="/v1/admin/callbacks/replay", of="admin")
    assert again.status_code == 202
    assert await api.redis_says("ZCARD", "relay:arq") == 4


async def test_a_redrive_at_fault_is_refused_and_not_recorded(api: Api) -> None:
    for body, at in (
        ({}, ["/since"]),
        ({"since": "2026-11-24T00:00:00Z", "client": "nobody"}, ["/client"]),
        (
            {"since": "2026-11-24T00:00:00Z", "destination": "checkout", "state": "pending"},
            ["/destination", "/state"],
        ),
    ):
        answer = await api.post(body, path="/v1/admin/callbacks/replay", of="admin")
        assert pointers(assert_problem(answer, 422, "invalid-request")) == at
    assert (await api.get("/v1/admin/actions", of="admin")).json()["data"] == []
