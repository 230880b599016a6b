"""Ways to have a number called more often than its limit says, and a company's bill run up: none of them works."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from tests.api.desk import Api, assert_problem, open_api, otp

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT = 3
SPELLINGS = (
    "0901234567", "+84901234567", "0901 234 567", "090-123.4567", "84901234567", "0084901234567", "901234567",
    "+840901234567",
)  # fmt: skip

Trick = Callable[[Api], Awaitable[int]]
"""Has one number called as often as it can; how many were accepted."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_desk(redis_url: str) -> AsyncIterator[Api]:
    """Three a number, and all that could be thought to give back a call is switched on."""
    lines = f'per_number_limit = "{LIMIT}/10m"\nsupersede_queued = true'
    async with open_api(
        redis_url, {"login-otp": lines, "order-notice": f'per_number_limit = "{LIMIT}/10m"'}
    ) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="module")
async def desk(open_desk: Api) -> Api:
    await open_desk.wipe()
    return open_desk


async def _each(api: Api, *variants: Mapping[str, object], of: tuple[str, ...] = ("checkout",)) -> int:
    statuses = [
        (await api.post(otp(**fields), of=client)).status_code
        for fields, client in zip(variants, itertools.cycle(of), strict=False)
    ]
    assert set(statuses) == {202, 429}
    return statuses.count(202)


async def spell_it_otherwise(api: Api) -> int:
    return await _each(api, *({"phone_number": spelling} for spelling in SPELLINGS))


async def ask_as_several_clients(api: Api) -> int:
    return await _each(api, *[{}] * 10, of=("checkout", "delivery"))


async def differ_in_all_other_fields(api: Api) -> int:
    others: list[Mapping[str, object]] = [
        {
            "reference": f"r{n}",
            "metadata": {"n": f"{n}"},
            "variables": {"ten": f"{n}"},
            "otp_code": f"00421{n}",
        }
        for n in range(10)
    ]
    return await _each(api, *others, {"callback_url": "http://127.0.0.1:7/x"}, {"callback_url": None})


async def let_it_expire_soon(api: Api) -> int:
    soon = (datetime.now(UTC) + timedelta(seconds=20)).isoformat()
    lives: list[Mapping[str, object]] = [{"expires_in": 5}, {"expires_in": 86_400}, {"expires_at": soon}]
    return await _each(api, *lives * 4)


async def use_fresh_keys(api: Api) -> int:
    answers = [await api.post(otp(), key=f"k{n}") for n in range(10)]
    return sum(one.status_code == 202 for one in answers)


async def repeat_a_refused_key(api: Api) -> int:
    answers = [await api.post(otp(), key=f"k{n // 2}") for n in range(12)]
    return len({one.json()["id"] for one in answers if one.status_code == 202})


async def cancel_and_send_again(api: Api) -> int:
    taken = 0
    for _ in range(10):
        answer = await api.post(otp())
        if answer.status_code == 202:
            taken += 1
            assert (await api.ask("DELETE", answer.headers["location"])).json()["state"] == "cancelled"
    return taken


async def supersede_what_is_queued(api: Api) -> int:
    taken = await _each(api, *({"otp_code": f"10000{n}"} for n in range(10)))
    listed = (await api.get("/v1/messages", phone_number="0901234567")).json()["data"]
    assert sorted(str(one["reason"]) for one in listed) == ["None", "superseded", "superseded"]
    return taken


async def send_a_batch_of_the_same(api: Api) -> int:
    items = [
        otp(phone_number=spelling)
        for spelling, _ in zip(itertools.cycle(SPELLINGS), range(1000), strict=False)
    ]
    answer = (await api.post({"messages": items}, path="/v1/messages/batch")).json()
    assert {one["status"] for one in answer["results"]} == {202, 429}
    assert await api.records() == answer["accepted"]
    return int(answer["accepted"])


async def repeat_batches_and_mix_them_with_single_ones(api: Api) -> int:
    taken = 0
    for n in range(4):
        body = {"messages": [otp(reference=f"{n}{m}") for m in range(5)]}
        batch = await api.post(body, path="/v1/messages/batch", key=f"b{n}")
        again = await api.post(body, path="/v1/messages/batch", key=f"b{n}")
        assert again.content == batch.content
        taken += batch.json()["accepted"]
        taken += (await api.post(otp(), of="delivery")).status_code == 202
    return taken


TRICKS: tuple[Trick, ...] = (
    spell_it_otherwise, ask_as_several_clients, differ_in_all_other_fields, let_it_expire_soon, use_fresh_keys,
    repeat_a_refused_key, cancel_and_send_again, supersede_what_is_queued, send_a_batch_of_the_same,
    repeat_batches_and_mix_them_with_single_ones,
)  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.__name__)
async def test_no_trick_has_a_number_called_more_often_than_its_limit(desk: Api, trick: Trick) -> None:
    assert await trick(desk) == LIMIT
    assert_problem(await desk.post(otp()), 429, "rate-limited")
    assert (await desk.post(otp(phone_number="0901234568"))).status_code == 202


async def test_each_campaign_counts_a_number_for_itself(desk: Api) -> None:
    assert await ask_as_several_clients(desk) == LIMIT
    notice = otp(campaign="order-notice", otp_code=None)
    statuses = [(await desk.post(notice)).status_code for _ in range(5)]
    assert statuses == [202] * LIMIT + [429] * 2


async def test_going_through_a_range_of_numbers_ends_at_the_clients_rate(redis_url: str) -> None:
    lines = {"checkout": 'rate_limit = "5/10m"', "login-otp": f'per_number_limit = "{LIMIT}/10m"'}
    async with open_api(redis_url, lines) as api:
        range_ = [f"09012340{n:02d}" for n in range(20)]
        items = [otp(phone_number=number) for number in range_]
        batch = (await api.post({"messages": items}, path="/v1/messages/batch")).json()
        assert batch["accepted"] == 5
        for number in range_[:3]:
            assert_problem(await api.post(otp(phone_number=number)), 429, "rate-limited")
        refused = next(n for n, one in zip(range_, batch["results"], strict=True) if one["status"] == 429)
        statuses = [(await api.post(otp(phone_number=refused), of="delivery")).status_code for _ in range(4)]
        assert statuses == [202] * LIMIT + [429], "what was refused took nothing of the number"


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "number",
    (
        "113", "+84115", "19001091", "1900 1091", "18001091", "+447012345678", "+870773111632", "+80012345678",
        "+12015550123", "0901234567;ext=1",
    ),
)  # fmt: skip
async def test_a_number_that_may_not_be_called_is_a_422_that_leaves_no_trace(api: Api, number: str) -> None:
    assert_problem(await api.post(otp(phone_number=number), key="k"), 422, "invalid-request")
    batch = await api.post({"messages": [otp(phone_number=number)]}, path="/v1/messages/batch")
    assert [one["status"] for one in batch.json()["results"]] == [422]
