"""The folder of scripts: each tells what it takes, gives and keeps, has tests, and makes no move but the table's."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from app.message import MOVES, State
from app.secret import Secret
from app.store import lua
from app.store.faults import StoreUnavailableError
from tests.store.desk import Desk

SCRIPTS = ("drop_token", "store_token", "stop_making", "lock_account")
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


async def test_a_message_in_an_unexpected_state_makes_the_script_fail_and_not_the_message_move(
    desk: Desk,
) -> None:
    message_id = await desk.accept()
    batch = await desk.sending()
    await desk.db.read("HSET", desk.db.key("m", message_id), "s", "answered")
    with pytest.raises(StoreUnavailableError):
        await desk.batches.settle(batch, "missing", taken={message_id: "1"})
    assert (await desk.state(message_id))[0] == "answered"
    await desk.db.read("HSET", desk.db.key("m", message_id), "s", "submitting")


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
    assert await desk.tokens.may_make("main", "w", lease_ms=60_000)
    await desk.tokens.stop_making("main", "other")
    assert not await desk.tokens.may_make("main", "other", lease_ms=60_000)
    await desk.tokens.stop_making("main", "w")
    assert await desk.tokens.may_make("main", "other", lease_ms=60_000)


async def test_the_pause_of_a_refused_secret_key_grows_to_its_bound_and_ends_with_a_token(desk: Desk) -> None:
    assert await desk.tokens.may_make("main", "w", lease_ms=60_000)
    assert not await desk.tokens.may_make("main", "other", lease_ms=60_000)
    pauses = [(await desk.tokens.lock("main", "w"))[0] for _ in range(9)]
    assert pauses[:3] == [5_000, 10_000, 20_000]
    assert pauses[-1] == 600_000
    assert await desk.tokens.locked_for_ms("main") > 590_000
    assert await desk.tokens.may_make("main", "other", lease_ms=60_000)
    await desk.tokens.store("main", Secret.of("x"), None, "other")
    assert await desk.tokens.locked_for_ms("main") == 0
