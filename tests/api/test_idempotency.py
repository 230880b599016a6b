"""The same key with the same body: one message, and its first answer again, byte for byte."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.conftest import MakeApi
from tests.api.desk import KEYS, Api, assert_problem, otp

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPLAYED = "idempotency-replayed"


async def test_of_forty_equal_requests_one_is_first_and_the_others_are_its_replays(api: Api) -> None:
    answers = await asyncio.gather(*(api.post(otp(), key="same") for _ in range(40)))
    assert [one.status_code for one in answers] == [202] * 40
    assert sorted(one.headers.get(REPLAYED, "") for one in answers) == ["", *["true"] * 39]
    assert len({one.content for one in answers}) == 1
    assert len({one.headers["location"] for one in answers}) == 1
    listed = (await api.get("/v1/messages", phone_number="0901234567")).json()["data"]
    assert len(listed) == await api.records() == 1


async def test_bodies_that_are_equal_as_json_are_the_same(api: Api) -> None:
    first = await api.post(otp(reference="é"), key="k")
    backwards = dict(reversed(otp(reference="é").items()))
    headers = {"idempotency-key": "k", "content-type": "application/json"}
    text = json.dumps(backwards, indent=4, ensure_ascii=True).encode()
    again = await api.ask("POST", "/v1/messages", content=text, headers=headers)
    assert again.content == first.content
    assert again.headers[REPLAYED] == "true"


async def test_a_replay_is_the_first_answer_also_when_the_message_has_moved_on(api: Api) -> None:
    first = await api.post(otp(), key="k")
    assert (await api.ask("DELETE", first.headers["location"])).json()["state"] == "cancelled"
    again = await api.post(otp(), key="k")
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]


async def test_another_body_under_the_key_is_a_422_and_stores_nothing(api: Api) -> None:
    await api.post(otp(), key="k")
    before = await api.keys()
    for body in (otp(otp_code="004218"), otp(reference="another")):
        assert_problem(await api.post(body, key="k"), 422, "idempotency-conflict")
    assert await api.keys() == before


async def test_a_body_at_fault_under_a_used_key_is_a_422(api: Api) -> None:
    await api.post(otp(), key="k")
    assert_problem(await api.post(otp(expires_in=1), key="k"), 422, "invalid-request")


async def test_a_key_is_each_clients_own(api: Api) -> None:
    first, other = await api.post(otp(), key="k"), await api.post(otp(), key="k", of="delivery")
    assert first.status_code == other.status_code == 202
    assert REPLAYED not in other.headers
    assert first.json()["id"] != other.json()["id"]


async def test_a_key_of_a_message_is_not_one_of_a_batch_nor_the_other_way(api: Api) -> None:
    batch = {"messages": [otp()]}
    await api.post(otp(), key="a")
    assert_problem(await api.post(batch, path="/v1/messages/batch", key="a"), 422, "idempotency-conflict")
    await api.post(batch, path="/v1/messages/batch", key="b")
    assert_problem(await api.post(otp(), key="b"), 422, "idempotency-conflict")


async def test_a_refusal_is_not_remembered(api: Api) -> None:
    assert_problem(await api.post(otp(expires_in=1), key="k"), 422, "invalid-request")
    answer = await api.post(otp(), key="k")
    assert answer.status_code == 202
    assert REPLAYED not in answer.headers


async def test_a_replay_uses_no_limit_and_is_given_when_the_limit_is_used_up(make_api: MakeApi) -> None:
    api = await make_api(checkout='rate_limit = "2/10m"')
    first = await api.post(otp(), key="k")
    for _ in range(5):
        assert (await api.post(otp(), key="k")).headers[REPLAYED] == "true"
    second = await api.post(otp())
    assert second.status_code == 202
    assert '"client";r=0;' in second.headers["ratelimit"]
    assert_problem(await api.post(otp()), 429, "rate-limited")
    assert (await api.post(otp(), key="k")).content == first.content


async def test_a_replay_is_given_also_when_too_little_is_left_to_accept_it(make_api: MakeApi) -> None:
    api = await make_api(checkout='rate_limit = "1/1m"')
    sent = otp(expires_at=(datetime.now(UTC) + timedelta(seconds=5.5)).isoformat())
    first = await api.post(sent, key="k")
    assert first.status_code == 202
    await asyncio.sleep(0.7)  # until less than 5 seconds are left
    assert_problem(await api.post(sent), 422, "invalid-request")
    again = await api.post(sent, key="k")
    assert (again.status_code, again.content) == (202, first.content)


@pytest.mark.parametrize(
    "key", (b"", b" ", b"x" * 256, b"a\tb", "é".encode("latin-1"), "khóa".encode()), ids=repr
)
async def test_a_key_that_is_none_is_a_422(api: Api, key: bytes) -> None:
    before = await api.keys()
    headers = [(b"authorization", f"Bearer {KEYS['checkout']}".encode()), (b"idempotency-key", key.strip())]
    answer = await api.http.post("/v1/messages", json=otp(), headers=headers)
    assert_problem(answer, 422, "invalid-request")
    assert await api.keys() == before


async def test_a_key_may_have_255_characters(api: Api) -> None:
    assert (await api.post(otp(), key="x" * 255)).status_code == 202
