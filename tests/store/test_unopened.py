"""A record that no key of this process opens stops no other, and is lost to none who has its key."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
import structlog

from app.sealing import Index, Keyring, UnsealableError
from app.secret import Secret
from app.store.batches import Nothing
from app.store.commit import Committer
from app.store.connection import connect_raw
from app.store.database import Database
from app.store.key_survey import survey_keys
from tests.store.desk import ACCOUNT, ALICE, BOB, LOGIN, Desk, ids_of, numbers

SCRIPTS = ("set_aside", "reseal_token")

OLD, NEW = (Secret.of(base64.b64encode(letter * 32).decode()) for letter in (b"e", b"n"))


@asynccontextmanager
async def process_with(url: str, *keys: Secret) -> AsyncIterator[Desk]:
    """Another process of the same relay, with these keys."""
    client = connect_raw(url)
    database = Database(client, Keyring(keys), Index(b"i" * 32), Committer(client, None))
    try:
        yield Desk(database)
    finally:
        await database.close()


@pytest.fixture
async def ahead(desk: Desk, store_url: str) -> AsyncIterator[Desk]:
    """A process that seals with a key that the desk does not know."""
    async with process_with(store_url, NEW, OLD) as opened:
        yield opened


async def test_one_record_that_no_key_opens_does_not_stop_the_batch(desk: Desk, ahead: Desk) -> None:
    first, unreadable, last = await desk.accept(), await ahead.accept(BOB), await desk.accept(numbers(1)[0])
    with structlog.testing.capture_logs() as logs:
        batch = await desk.lease()
    assert ids_of(batch) == [first, last]
    marked = await desk.batches.mark_sending(batch, lease_ms=15_000)
    assert marked is not None
    assert marked[1] == {first, last}
    assert await desk.db.read("HGET", desk.db.key("m", unreadable), "s") == b"queued"
    assert await desk.number_claimed_by(BOB) is None
    assert [(line["message_ids"], line["log_level"]) for line in logs] == [([unreadable], "error")]
    assert "encryption_keys" in logs[0]["event"]
    await desk.batches.settle(batch, "missing", taken={first: "1", last: "2"})


async def test_who_has_the_key_takes_what_another_set_aside(desk: Desk, ahead: Desk) -> None:
    unreadable = await ahead.accept()
    assert await desk.no_lease() == Nothing(1)
    nothing = await desk.no_lease()
    assert nothing.wait_ms is not None
    assert 0 < nothing.wait_ms <= 500
    await desk.db.read("ZADD", desk.db.key("due", "login-otp", "checkout"), "XX", 1, unreadable)
    assert ids_of(await ahead.sending()) == [unreadable]


async def test_what_nobody_opens_expires(desk: Desk, ahead: Desk) -> None:
    unreadable = await ahead.accept()
    await desk.no_lease()
    await desk.make_expired(unreadable)
    await desk.batches.expire(LOGIN, most=10)
    assert await ahead.state(unreadable) == ("expired", "backlog")
    assert await ahead.events_of(unreadable) == ["message.expired"]


async def test_a_sealed_code_that_was_changed_in_redis_stops_no_other(desk: Desk) -> None:
    changed, other = await desk.accept(), await desk.accept(BOB)
    sealed = bytearray(await desk.db.read("HGET", desk.db.key("m", changed), "c"))
    sealed[-1] ^= 1
    await desk.db.read("HSET", desk.db.key("m", changed), "c", bytes(sealed))
    assert ids_of(await desk.lease()) == [other]


async def test_what_is_set_aside_counts_as_no_call_of_the_hour(desk: Desk, ahead: Desk) -> None:
    fused = replace(LOGIN, max_per_hour=2)
    for number in numbers(2):
        await ahead.accept(number)
    assert await desk.no_lease(fused) == Nothing(1)
    await desk.accept(ALICE)
    await desk.accept(BOB)
    assert len((await desk.lease(fused)).members) == 2
    assert (await desk.no_lease(fused)).held == "ceiling"


async def test_a_probe_that_cannot_be_opened_makes_way_for_the_next(desk: Desk, ahead: Desk) -> None:
    one = replace(LOGIN, batch_size=1)
    held = await desk.accept()
    await desk.batches.settle(await desk.sending(one), "requeue", "60000", hold="campaign_stopped")
    await ahead.accept(BOB)
    readable = await desk.accept(numbers(1)[0])
    assert await desk.no_lease(one) == Nothing(1)
    probe = await desk.lease(one)
    assert (ids_of(probe), probe.probe) == ([readable], True)
    assert (await desk.state(held))[0] == "queued"


async def test_nobody_is_set_aside_from_a_batch_that_was_sent_or_is_gone(desk: Desk) -> None:
    message_id = await desk.accept()
    batch = await desk.sending()
    before = await desk.dump()
    assert await desk.db.run("set_aside", batch.batch_id, message_id) == [b"lost"]
    assert await desk.db.run("set_aside", "batch_gone", message_id) == [b"lost"]
    assert await desk.dump() == before


async def test_a_process_without_the_key_makes_a_token_of_its_own(desk: Desk, ahead: Desk) -> None:
    await ahead.tokens.store("main", Secret.of("new-token"), None, "w")
    assert await desk.tokens.get("main") is None
    await desk.tokens.store("main", Secret.of("old-token"), None, "w")
    for each in (desk, ahead):
        token = await each.tokens.get("main")
        assert token is not None
        assert token.value.reveal() == "old-token"


async def test_a_token_without_an_end_needs_the_old_key_until_it_is_used_once(
    desk: Desk, ahead: Desk, store_url: str
) -> None:
    await desk.tokens.store("main", Secret.of("tok"), None, "w")
    await ahead.tokens.get("main")
    async with process_with(store_url, NEW) as without_old:
        token = await without_old.tokens.get("main")
    assert token is not None
    assert token.value.reveal() == "tok"
    later = await ahead.tokens.get("main")
    assert later == token


async def test_a_token_sealed_anew_never_takes_the_place_of_a_later_one(desk: Desk) -> None:
    await desk.tokens.store("main", Secret.of("first"), None, "w")
    await desk.tokens.store("main", Secret.of("second"), None, "w")
    assert await desk.db.run("reseal_token", "main", "1", b"first again") == 0
    token = await desk.tokens.get("main")
    assert token is not None
    assert token.value.reveal() == "second"


async def test_in_the_documented_order_no_process_meets_what_it_cannot_open(
    desk: Desk, store_url: str
) -> None:
    """Old; old and new; new and old: any two neighbours run side by side while processes are restarted."""
    steps = ((OLD,), (OLD, NEW), (NEW, OLD), (NEW,))
    for before, after in pairwise(steps[:-1]):
        async with process_with(store_url, *before) as one, process_with(store_url, *after) as other:
            for api, worker in ((one, other), (other, one)):
                message_id = await api.accept()
                batch = await worker.sending()
                assert ids_of(batch) == [message_id]
                await worker.batches.settle(batch, "rejected", "invalid_contact")
                assert await api.state(message_id) == ("rejected", "invalid_contact")
    async with process_with(store_url, NEW) as last:
        survey = await survey_keys(last.db, within_s=10)
        old, new = Keyring([OLD]).key_ids[0], Keyring([NEW]).key_ids[0]
        assert (survey.needed_by[old]["records"], survey.needed_by[new]["records"]) == (3, 1)


async def test_the_survey_counts_what_each_key_is_needed_for_and_stops_when_its_time_is_over(
    desk: Desk, ahead: Desk
) -> None:
    sealed = desk.db.keyring.seal(b"body", "x")
    await desk.db.read_many([("HSET", desk.db.key("m", f"x{n}"), "b", sealed) for n in range(1200)])
    await ahead.accept(ALICE)
    await desk.tokens.store("main", Secret.of("tok"), None, "w")
    old, new = desk.db.keyring.key_ids[0], ahead.db.keyring.key_ids[0]
    survey = await survey_keys(desk.db, within_s=10)
    assert survey.needed_by[old] == {"records": 1200, "tokens": 1}
    assert survey.needed_by[new] == {"records": 1}
    assert (survey.whole, survey.looked_at) == (True, survey.of)
    pages: list[int] = []
    cut = await survey_keys(desk.db, within_s=0, seen=lambda at, _: pages.append(at))
    assert not cut.whole
    assert pages == [cut.looked_at]
    assert cut.looked_at < cut.of
    await desk.db.read("FLUSHALL")


async def test_a_code_put_into_another_record_or_another_field_opens_in_neither(desk: Desk) -> None:
    mine, victim = await desk.accept(), await desk.accept(BOB)
    code = await desk.db.read("HGET", desk.db.key("m", victim), "c")
    await desk.db.read("HSET", desk.db.key("m", mine), "c", code)
    await desk.db.read("HSET", desk.db.key("m", victim), "b", code)
    assert await desk.batches.lease(LOGIN, ACCOUNT) == Nothing(1)
    with pytest.raises(UnsealableError):
        await desk.messages.show(victim, None)
