"""The folder of scripts: each tells what it takes, gives and keeps, has tests, and makes no move but the table's."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from app.message import MOVES, MessageId, State
from app.secret import Secret
from app.store import lua
from app.store.duties import beat
from app.store.faults import StoreUnavailableError
from tests.store.desk import BOB, LOGIN, Desk, ids_of, numbers

SCRIPTS = ("drop_token", "store_token", "drop_duty", "lock_account")
_FOLDER = Path(lua.__file__).parent / "scripts"


def _tested() -> set[str]:
    found: set[str] = set()
    for file in Path(__file__).parents[1].rglob("test_*.py"):
        for line in re.findall(r"^SCRIPTS = \(([^)]*)\)", file.read_text(), re.MULTILINE):
            found |= set(re.findall(r'"(\w+)"', line))
    return found


def test_each_script_is_named_by_the_module_that_tests_it() -> None:
    """A test module lists the scripts whose answers and invariants it shows: `SCRIPTS = ("accept",)`."""
    assert set(lua.script_names()) - _tested() == set()


@pytest.mark.parametrize("name", lua.script_names())
def test_each_script_begins_with_what_it_takes_gives_and_keeps(name: str) -> None:
    header = (_FOLDER / f"{name}.lua").read_text().split("\n\n", 1)[0]
    assert all(line.startswith("--") for line in header.splitlines())
    for word in ("-- ARGV ", "-- Answer ", "-- Invariant"):
        assert word in header


@pytest.mark.parametrize(("was", "to"), tuple(product(State, State)))
async def test_just_the_moves_of_the_table_can_be_made(desk: Desk, was: State, to: State) -> None:
    key = desk.db.key("m", "msg_x")
    await desk.db.read("HSET", key, "s", was.value, "v", 1)
    text = lua.script("cancel").text.split("-- Cancels")[0] + f"move('msg_x', '{to.value}')"
    if to in MOVES[was]:
        await desk.db.read("EVAL", text, 1, "relay:{0}:")
        assert await desk.db.read("HMGET", key, "s", "v") == [to.value.encode(), b"2"]
    else:
        with pytest.raises(StoreUnavailableError):
            await desk.db.read("EVAL", text, 1, "relay:{0}:")
        assert await desk.db.read("HMGET", key, "s", "v") == [was.value.encode(), b"1"]
    await desk.db.read("DEL", key)


async def _without_its_second_member(desk: Desk, script: str) -> list[MessageId]:
    """Three messages in one batch, the record of one gone, and then the script. Who is left."""
    for number in numbers(3):
        await desk.accept(number)
    batch = await (desk.lease() if script in ("mark_sending", "recover_leases") else desk.sending())
    one, gone, other = ids_of(batch)
    if script == "reconcile":
        await desk.batches.settle(batch, "ambiguous", "read timeout")
    await desk.db.read("DEL", desk.db.key("m", gone))
    match script:
        case "settle":
            await desk.batches.settle(batch, "missing", taken={one: "1", gone: "2", other: "3"})
        case "mark_sending":
            await desk.batches.mark_sending(batch, lease_ms=15_000)
        case "split":
            await desk.batches.split(batch, smaller_from_now=False)
        case "reconcile":
            await desk.outcomes.reconcile(batch.batch_id, "retry")
        case _:
            await desk.make_overdue(batch.batch_id)
            await desk.batches.recover(most=10)
    return [one, other]


@pytest.mark.parametrize(
    ("script", "state"),
    (
        ("settle", "submitted"),
        ("mark_sending", "submitting"),
        ("split", "submitting"),
        ("reconcile", "queued"),
        ("recover_leases", "queued"),
    ),
)
async def test_a_member_whose_record_is_gone_stops_no_script_in_the_middle_of_its_batch(
    desk: Desk, script: str, state: str
) -> None:
    left = await _without_its_second_member(desk, script)
    assert [(await desk.state(one))[0] for one in left] == [state, state]
    await desk.db.read("FLUSHALL")


async def test_a_member_in_an_unexpected_state_is_left_alone_and_the_others_are_settled(desk: Desk) -> None:
    odd, other = await desk.accept(), await desk.accept(BOB)
    batch = await desk.sending()
    await desk.db.read("HSET", desk.db.key("m", odd), "s", "answered")
    await desk.batches.settle(batch, "missing", taken={odd: "1", other: "2"})
    assert [(await desk.state(one))[0] for one in (odd, other)] == ["answered", "submitted"]
    await desk.db.read("FLUSHALL")


async def test_a_stale_place_in_the_queue_keeps_no_other_message_from_expiring(desk: Desk) -> None:
    odd, gone, late = await desk.submitted(BOB), await desk.accept(), await desk.accept(numbers(1)[0])
    for one in (gone, odd, late):
        await desk.db.read("ZADD", desk.db.key("queued", "login-otp"), 1, one)
    await desk.db.read("DEL", desk.db.key("m", gone))
    await desk.batches.expire(LOGIN, most=10)
    assert await desk.state(odd) == ("submitted", None)
    assert await desk.state(late) == ("expired", "backlog")
    await desk.db.read("FLUSHALL")


async def test_a_fresh_token_is_never_dropped_for_an_older_ones_fault(desk: Desk) -> None:
    await desk.tokens.store("main", Secret.of("first"), None, "w")
    old = await desk.tokens.get("main")
    await desk.tokens.store("main", Secret.of("second"), None, "w")
    assert old is not None
    assert not await desk.tokens.drop("main", old.generation)
    new = await desk.tokens.get("main")
    assert new is not None
    assert new.value.reveal() == "second"
    assert await desk.tokens.drop("main", new.generation)
    await desk.tokens.store("main", Secret.of("third"), None, "w")
    third = await desk.tokens.get("main")
    assert third is not None
    assert third.generation not in {old.generation, new.generation}


async def test_the_right_to_make_a_token_is_ended_by_its_owner_alone(desk: Desk) -> None:
    await beat(desk.db, "w")
    assert await desk.tokens.may_make("main", "w", lease_ms=60_000)
    await desk.tokens.stop_making("main", "other")
    assert not await desk.tokens.may_make("main", "other", lease_ms=60_000)
    await desk.tokens.stop_making("main", "w")
    assert await desk.tokens.may_make("main", "other", lease_ms=60_000)


async def test_the_pause_of_a_refused_secret_key_grows_to_its_bound_and_ends_with_a_token(desk: Desk) -> None:
    await beat(desk.db, "w")
    assert await desk.tokens.may_make("main", "w", lease_ms=60_000)
    assert not await desk.tokens.may_make("main", "other", lease_ms=60_000)
    pauses = [(await desk.tokens.lock("main", "w"))[0] for _ in range(9)]
    assert pauses[:3] == [5_000, 10_000, 20_000]
    assert pauses[-1] == 600_000
    assert await desk.tokens.locked_for_ms("main") > 590_000
    assert await desk.tokens.may_make("main", "other", lease_ms=60_000)
    await desk.tokens.store("main", Secret.of("x"), None, "other")
    assert await desk.tokens.locked_for_ms("main") == 0
