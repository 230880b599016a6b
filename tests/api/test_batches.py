"""A batch: one answer for each item in the order sent, and one key for the whole."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.api.accepting import accept_message
from tests.api.conftest import MakeApi
from tests.api.desk import Api, assert_problem, otp, pointers

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPTS = ("batch_key",)
"""The scripts of the store that this module tests."""

PATH = "/v1/messages/batch"


async def test_one_bad_item_harms_no_other_and_each_has_its_answer_in_its_place(make_api: MakeApi) -> None:
    api = await make_api(login_otp='per_number_limit = "1/10m"')
    await api.sent(phone_number="0909999999")
    items = [
        otp(reference="first"),
        otp(otp_code=5, expires_in=1),
        otp(campaign="elsewhere"),
        "no object",
        otp(phone_number="0909999999"),
        otp(phone_number="0901234568", reference="last"),
    ]
    answer = await api.post({"messages": items}, path=PATH)
    assert answer.status_code == 202
    told = answer.json()
    assert (told["accepted"], told["rejected"]) == (2, 4)
    results = told["results"]
    assert [one["status"] for one in results] == [202, 422, 403, 422, 429, 202]
    assert [one["message"]["reference"] for one in (results[0], results[-1])] == ["first", "last"]
    assert pointers(results[1]["error"]) == ["/expires_in", "/otp_code"]
    for result in results[1:-1]:
        assert "message" not in result
        assert result["error"]["status"] == result["status"]
        assert result["error"]["type"].startswith("https://")
    assert "004217" not in answer.text


async def test_a_thousand_are_taken_and_stand_in_the_order_sent(make_api: MakeApi) -> None:
    api = await make_api()
    items = [otp(phone_number=f"090{n:07}", reference=str(n)) for n in range(1000)]
    told = (await api.post({"messages": items}, path=PATH)).json()
    assert told["accepted"] == 1000
    assert [one["message"]["reference"] for one in told["results"]] == [str(n) for n in range(1000)]
    assert [one["message"]["phone_number"] for one in told["results"]] == [
        f"+8490{n:07}" for n in range(1000)
    ]
    assert len({one["message"]["id"] for one in told["results"]}) == await api.records() == 1000


async def test_a_limit_of_the_client_met_in_a_batch_is_told_by_item(make_api: MakeApi) -> None:
    api = await make_api(checkout='rate_limit = "1/1m"')
    told = (await api.post({"messages": [otp(), otp()]}, path=PATH)).json()
    assert sorted(one["status"] for one in told["results"]) == [202, 429]


@pytest.mark.parametrize(("body", "at"), (
    ({"messages": []}, ["/messages"]), ({"messages": [{}] * 1001}, ["/messages"]), ({}, ["/messages"]),
    ({"messages": {"0": otp()}}, ["/messages"]), ([otp()], [""]), ({"messages": [otp()], "more": 1}, ["/more"]),
    ({"more": 1}, ["/messages", "/more"]),
))  # fmt: skip
async def test_a_batch_of_another_shape_is_at_fault_as_a_whole(api: Api, body: object, at: list[str]) -> None:
    before = await api.keys()
    assert pointers(assert_problem(await api.post(body, path=PATH, key="k"), 422, "invalid-request")) == at
    assert await api.keys() == before


async def test_a_replay_of_a_batch_is_its_first_answer_byte_for_byte(api: Api) -> None:
    batch = {"messages": [otp(), otp(expires_in=1), otp(phone_number="0901234568")]}
    first = await api.post(batch, path=PATH, key="k")
    assert "idempotency-replayed" not in first.headers
    assert [one["status"] for one in first.json()["results"]] == [202, 422, 202]
    again = await api.post(batch, path=PATH, key="k")
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert_problem(await api.post({"messages": [otp()]}, path=PATH, key="k"), 422, "idempotency-conflict")


async def test_equal_batches_at_once_take_each_message_in_once(api: Api) -> None:
    batch = {"messages": [otp(phone_number=f"090123456{n}") for n in range(10)]}
    answers = await asyncio.gather(*(api.post(batch, path=PATH, key="k") for _ in range(8)))
    assert len({one.content for one in answers}) == 1
    assert sum("idempotency-replayed" not in one.headers for one in answers) >= 1
    for n in range(10):
        assert len((await api.get("/v1/messages", phone_number=f"090123456{n}")).json()["data"]) == 1
    assert await api.records() == 10


async def test_a_batch_that_was_cut_short_is_taken_up_where_it_stood(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = {"messages": [otp(phone_number=f"090123456{n}", reference="cut") for n in range(6)]}
    taken: list[object] = []

    async def cut(*arguments: Any) -> object:
        if len(taken) == 3:
            raise RuntimeError("the process ends here")
        taken.append(arguments)
        return await accept_message(*arguments)

    monkeypatch.setattr("app.api.batches.accept_message", cut)
    assert (await api.post(batch, path=PATH, key="k")).status_code == 500
    monkeypatch.undo()
    first = (await api.get("/v1/messages", reference="cut")).json()["data"]
    assert len(first) == 3
    answer = await api.post(batch, path=PATH, key="k")
    assert answer.json()["accepted"] == 6
    whole = (await api.get("/v1/messages", reference="cut")).json()["data"]
    assert len(whole) == await api.records() == 6
    told = [one["message"] for one in answer.json()["results"]]
    assert [one for one in told if one in first] == sorted(first, key=told.index)
    assert {one["id"] for one in told} == {one["id"] for one in whole}
    assert (await api.post(batch, path=PATH, key="k")).content == answer.content
