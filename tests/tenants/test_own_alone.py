"""What is counted, replayed, waited for and remembered is each client's own, also when a key goes to another client."""

from __future__ import annotations

import hashlib
import time

import pytest
from arq.connections import ArqRedis

from app.config import ConfigError, parse_config
from app.message import CallbackState
from app.store.connection import connect
from app.store.jobs import QUEUE
from tests.api.desk import (
    KEYS,
    NUMBER,
    Api,
    assert_problem,
    config_of,
    config_text,
    open_api,
    open_caller,
    otp,
)
from tests.limits.fields import told
from tests.tenants.two_clients import BATCH_KEY, KEY, REFERENCE, A, B, Two, mark, single

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_campaigns_figures_are_the_clients_own(one_api: Api) -> None:
    await one_api.wipe()
    empty = (await one_api.get("/v1/campaigns", of=B)).content
    first = await one_api.sent(of=A)
    assert (await one_api.get("/v1/campaigns", of=B)).content == empty
    own = await one_api.sent(of=B)
    await one_api.sent(of=A)
    figures = {of: (await one_api.get("/v1/campaigns", of=of)).json()["data"][0] for of in (A, B)}
    assert (figures[A]["queued"], figures[A]["oldest_queued_at"]) == (2, first["accepted_at"])
    assert (figures[B]["queued"], figures[B]["oldest_queued_at"]) == (1, own["accepted_at"])


async def test_a_replay_since_a_time_is_asked_for_and_done_for_its_own_client_alone(two: Two) -> None:
    before = await two.view_of(A)
    asked = {"since": "2020-01-01T00:00:00Z", "state": "dead"}
    assert (await two.api.post(asked, path="/v1/callbacks/replay", of=B)).status_code == 202
    queue = connect(two.api.config.redis.queue_url, client_class=ArqRedis)
    assert isinstance(queue, ArqRedis)
    jobs = [job.args for job in await queue.queued_jobs(queue_name=QUEUE)]
    await queue.aclose()
    (job,) = jobs
    assert (job[0], job[2]) == (B, "dead")
    ids = await two.api.events.ids_since(job[0], job[1], CallbackState(job[2]), most=100)
    assert ids
    assert [await two.api.events.replay(job[0], one) for one in ids] == ["queued"] * len(ids)
    assert await two.view_of(A) == before
    assert await two.api.in_state(CallbackState.DEAD, B) == []


async def test_nobody_waits_for_anothers_message(two: Two) -> None:
    began = time.monotonic()
    answer = await two.api.get(f"/v1/messages/{two.a.queued}", of=B, wait=30)
    assert_problem(answer, 404, "not-found")
    assert time.monotonic() - began < 5


async def test_a_keys_body_and_answer_are_each_clients_own(two: Two) -> None:
    """The same key and body as the other's: a message of one's own; and no conflict with what the other sent."""
    for of in (A, B):
        own = two.a if of == A else two.b
        again = await two.api.post(single(of), of=of, key=KEY)
        assert again.json()["id"] == own.queued
    theirs = single(A)
    assert_problem(await two.api.post(theirs, of=B, key=KEY), 422, "idempotency-conflict")
    await two.api.post(theirs, of=A, key="a-key-of-one-alone")
    fresh = await two.api.post(theirs, of=B, key="a-key-of-one-alone")
    assert fresh.status_code == 202
    assert "idempotency-replayed" not in fresh.headers


async def test_a_clients_rate_is_not_lowered_by_another(one_api: Api) -> None:
    await one_api.wipe()
    for n in range(5):
        await one_api.sent(of=A, phone_number=f"090123456{n}")
    found = told(await one_api.post(otp(), of=B))
    assert found.left == found.at_once - 1


async def test_the_refusal_of_a_number_tells_not_who_called_it(redis_url: str) -> None:
    """That it was called within the limit's period is what the limit is for, and cannot be hidden."""
    async with open_api(redis_url, {"login-otp": 'per_number_limit = "2/10m"'}) as api:
        for of, number in ((A, "0901234561"), (B, "0901234562")):
            for _ in range(2):
                await api.sent(of=of, phone_number=number, metadata={"of": mark(of)})
        by_other, by_self = [await api.post(otp(phone_number=f"090123456{n}"), of=B) for n in (1, 2)]
        assert by_other.status_code == 429
        assert by_other.content == by_self.content
        assert abs(told(by_other).more_in_s - told(by_self).more_in_s) <= 1
        assert {*by_other.headers} == {*by_self.headers}


async def test_a_full_queue_is_told_without_whose_messages_fill_it(redis_url: str) -> None:
    async with open_api(redis_url, {"login-otp": "max_queued = 2"}) as api:
        refused = []
        for of in (A, B):
            await api.wipe()
            for n in range(2):
                await api.sent(of=of, phone_number=f"090123456{n}")
            refused.append(await api.post(otp(), of=B))
        assert refused[0].status_code == 503
        assert refused[0].content == refused[1].content


def _digest(key: str) -> str:
    return f'"sha256:{hashlib.sha256(key.encode()).hexdigest()}"'


async def test_a_key_that_went_to_another_client_takes_nothing_along(two: Two) -> None:
    """The same Redis, and a configuration in which A's key is B's."""
    before = await two.view_of(B)
    moved = {
        "login-otp": 'per_number_limit = "100000/s"',
        A: f"api_keys = [{_digest('another-0123456789abcdef')}]",
        B: f"api_keys = [{_digest(KEYS[B])}, {_digest(KEYS[A])}]",
    }
    async with open_caller(config_of(two.api.config.redis.url, moved)) as later:
        for path, text in before.items():
            assert (await later.ask("GET", path, of=A)).text == text, (
                "A's old key is B's now, and sees what is B's"
            )
        for method, path in (
            ("GET", f"/v1/messages/{two.a.queued}"), ("DELETE", f"/v1/messages/{two.a.queued}"),
            ("POST", f"/v1/callbacks/{two.a.dead_event}/replay"),
        ):  # fmt: skip
            assert_problem(await later.ask(method, path, of=A), 404, "not-found")
        assert (await later.post(single(B), of=A, key=KEY)).json()["id"] == two.b.queued
        batch = await later.post({"messages": [single(B)]}, path="/v1/messages/batch", of=A, key=BATCH_KEY)
        assert batch.headers["idempotency-replayed"] == "true"
        assert await two.foreign_ids(batch, B) == set()
        assert_problem(await later.post(single(A), of=A, key=KEY), 422, "idempotency-conflict")


async def test_no_two_names_of_clients_and_campaigns_share_a_place_in_redis(two: Two) -> None:
    """A colon parts the words of a key in Redis, so no name may hold one."""
    url = two.api.config.redis.url
    for section in ("clients.delivery", "campaigns.login-otp"):
        kind, _, name = section.partition(".")
        text = config_text(url).replace(f"[{section}]", f'[{kind}."x:{name}"]')
        with pytest.raises(ConfigError, match="x:"):
            parse_config(text, file="relay.toml", env={})


async def test_the_counters_for_operators_hold_no_id_number_or_reference(two: Two) -> None:
    """They need no key, and count by client: keep them from callers."""
    text = (await two.api.ask("GET", "/metrics", of=None)).text
    assert f'client="{A}"' in text
    for secret in (NUMBER[-9:], REFERENCE, mark(A), "msg_", "evt_", *KEYS.values()):
        assert secret not in text
