"""A batch: each item has its own answer, in the order sent, and one key stands for the whole."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.api.caller import SLOW, Api, body

SCRIPTS = ("batch_key",)
"""The scripts of the store that this module tests."""


async def _send(
    api: Api, items: list[object], idempotency_key: str | None = None, **more: str
) -> httpx.Response:
    headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
    return await api.ask("POST", "/v1/messages/batch", json={"messages": items}, headers=headers, **more)


async def _messages(redis: Any) -> int:
    return len(await redis.keys("relay:{0}:m:*"))


async def test_one_bad_item_harms_no_other_and_the_order_is_kept(api: Api) -> None:
    answer = await _send(
        api, [body(reference="a"), body(otp_code="x"), 7, body(campaign="none"), body(reference="b")]
    )
    told = answer.json()
    assert (answer.status_code, told["accepted"], told["rejected"]) == (202, 2, 3)
    assert [one["status"] for one in told["results"]] == [202, 422, 422, 403, 202]
    assert [told["results"][n]["message"]["reference"] for n in (0, 4)] == ["a", "b"]
    assert told["results"][1]["error"]["errors"][0]["pointer"] == "/otp_code"


async def test_a_thousand_are_taken_in_one_batch(api: Api, redis: Any) -> None:
    items: list[object] = [body(phone_number=f"09012{n:05d}", metadata=None) for n in range(1000)]
    answer = await _send(api, items)
    told = answer.json()
    assert told["accepted"] == 1000
    assert [one["message"]["phone_number"][-5:] for one in told["results"]] == [
        f"{n:05d}" for n in range(1000)
    ]
    assert await _messages(redis) == 1000


async def test_a_limit_met_in_a_batch_is_told_by_item(api: Api) -> None:
    told = (await _send(api, [body(callback_url=None)] * 2, key=SLOW)).json()
    assert sorted(one["status"] for one in told["results"]) == [202, 429]


async def test_a_batch_under_its_key_is_answered_again_byte_for_byte(api: Api, redis: Any) -> None:
    items: list[object] = [body(), body(otp_code="x"), body()]
    answers = await asyncio.gather(*(_send(api, items, "k") for _ in range(8)))
    assert len({answer.content for answer in answers}) == 1
    again = await _send(api, items, "k")
    assert (again.content, again.headers["idempotency-replayed"]) == (answers[0].content, "true")
    assert await _messages(redis) == 2


async def test_a_batchs_key_is_no_key_for_another_body_or_a_single_message(api: Api) -> None:
    await _send(api, [body()], "k")
    assert (await _send(api, [body(reference="other")], "k")).status_code == 422
    assert (await api.send(body(), idempotency_key="k")).status_code == 422


async def test_a_batch_that_a_crash_cut_short_takes_the_rest_and_nothing_twice(api: Api, redis: Any) -> None:
    items: list[object] = [body(reference=str(n)) for n in range(6)]
    first = (await _send(api, items, "k")).json()
    # As a crash half way leaves it: the batch reserved, its answer not kept, the last three items never taken.
    for key in await redis.keys("relay:{0}:idem:*"):
        if await redis.hexists(key, "a"):
            await redis.hdel(key, "a")
        elif (await redis.hget(key, "m")).decode() in {one["message"]["id"] for one in first["results"][3:]}:
            await redis.delete(key)
    again = (await _send(api, items, "k")).json()
    assert again["accepted"] == 6
    assert again["results"][:3] == first["results"][:3]
    assert await _messages(redis) == 9
    assert (await _send(api, items, "k")).json() == again
