import json

import pytest

from tests.sandbox.desk import NOTICE, OTP, Desk, contact


async def test_an_import_tells_how_many_were_taken_and_which(desk: Desk) -> None:
    body = (await desk.send(contact("0901234567"), contact("+84 901 234 568"), contact("12"))).json()
    assert body["message"] == "Ghi nhận thành công 2 trên 3 bản ghi"
    assert [result["phone_number"] for result in body["results"]] == ["0901234567", "+84 901 234 568"]
    assert all(isinstance(result["call_id"], int) for result in body["results"])


@pytest.mark.parametrize("code", ("000000", "12345", "1234567", "١٢٣٤٥٦", "12345\n", "", 123456, None))
async def test_an_element_whose_code_is_no_code_is_skipped_without_a_word(desk: Desk, code: object) -> None:
    odd = {"phone_number": "0901234567", "otp_code": code}
    assert await desk.taken(odd, contact("0901234568")) == ["0901234568"]


async def test_all_elements_of_a_number_that_stands_twice_are_removed(desk: Desk) -> None:
    twice = (contact("0901234567"), contact("+84901234567"), contact("0901234568"))
    assert await desk.taken(*twice) == ["0901234568"]
    await desk.fault("keep_first_duplicate")
    assert await desk.taken(*twice) == ["0901234567", "0901234568"]


async def test_a_stopped_otp_campaign_takes_nothing(desk: Desk) -> None:
    await desk.http.post(f"/sandbox/campaigns/{OTP}/stop")
    body = (await desk.send(contact("0901234567"))).json()
    assert body == {"status": 0, "code": "03", "message": "The campaign stopped. Can not import data"}
    await desk.http.post(f"/sandbox/campaigns/{OTP}/start")
    assert await desk.taken(contact("0901234567")) == ["0901234567"]


async def test_a_stopped_notification_campaign_takes_and_calls_when_it_runs_again(desk: Desk) -> None:
    await desk.http.post(f"/sandbox/campaigns/{NOTICE}/stop")
    assert await desk.taken(contact("0901234567", None), campaign=NOTICE) == ["0901234567"]
    [call] = (await desk.state())["calls"]
    assert (call["state"], call["called_at_ms"]) == (10, None)
    await desk.http.post(f"/sandbox/campaigns/{NOTICE}/start")
    [row] = await desk.ended(campaign=NOTICE)
    assert row["state"] == 40


async def test_a_campaign_that_is_not_there_is_01(desk: Desk) -> None:
    body = (await desk.send(contact("0901234567"), campaign="nobody's")).json()
    assert body == {"status": 0, "code": "01", "message": "campaign_id không hợp lệ"}


@pytest.mark.parametrize("contacts", (None, "x", {}, ["0901234567"], 5))
async def test_contacts_that_are_no_list_of_objects_are_400(desk: Desk, contacts: object) -> None:
    await desk.make_token()
    body = {"access_token": desk.token, "contacts": contacts}
    answer = await desk.http.post(f"/api/campaigns/{OTP}/import", json=body)
    assert answer.json() == {"status": 0, "code": "400", "message": "contacts không đúng định dạng"}


@pytest.mark.parametrize("body", (b"", b"{", b"\xff\xfe", b"[]", b"null"))
async def test_a_body_that_is_no_json_has_no_token(desk: Desk, body: bytes) -> None:
    answer = await desk.http.post(f"/api/campaigns/{OTP}/import", content=body)
    assert answer.json()["code"] == "401"


async def test_a_form_is_taken_too_and_alone_where_a_fault_wants_it(desk: Desk) -> None:
    await desk.make_token()
    await desk.fault("form_only")
    form = {"access_token": desk.token, "contacts": json.dumps([contact("0901234567")])}
    answer = await desk.http.post(f"/api/campaigns/{OTP}/import", data=form)
    assert answer.json()["results"][0]["phone_number"] == "0901234567"
    assert (await desk.send(contact("0901234567"))).json()["code"] == "401"


async def test_what_a_call_spoke_is_what_was_sent_and_state_holds_no_code(desk: Desk) -> None:
    await desk.send(contact("0901234567", "918273", ho_ten="Nguyễn Văn Ấ", danh_xung="chị"))
    state = await desk.state()
    [call] = state["calls"]
    spoken = (await desk.http.get(f"/sandbox/calls/{call['call_id']}/spoken")).json()
    assert spoken["otp_code"] == "918273"
    assert spoken["variables"] == {"ho_ten": "Nguyễn Văn Ấ", "danh_xung": "chị"} == call["variables"]
    assert "918273" not in json.dumps(state)
    assert "918273" not in (await desk.http.get("/")).text


async def test_a_number_still_being_called_may_be_skipped_by_the_next_import(desk: Desk) -> None:
    await desk.fault("skip_while_calling")
    assert await desk.taken(contact("0901230041")) == ["0901230041"]
    assert await desk.taken(contact("0901230041")) == []


async def test_the_same_number_in_two_imports_is_two_calls(desk: Desk) -> None:
    for _ in range(2):
        assert await desk.taken(contact("0901234567")) == ["0901234567"]
    assert len(await desk.rows()) == 2
