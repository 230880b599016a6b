"""Moves in any order, against what the table of states allows: accept, lease, mark, settle, crash, rows, ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from app.message import FINAL, MOVES, MessageId, State
from app.store.batches import Batch
from tests.store.desk import ACCOUNT, ALICE, BOB, LOGIN, SOURCE, Desk, open_desk
from tests.store.tidy import faults_of

UNCALLED = {State.EXPIRED, State.CANCELLED, State.REJECTED}


def _reachable() -> dict[State, set[State]]:
    """Where one script may take a message: a few moves of the table at once."""
    found = {state: {state} | set(MOVES[state]) for state in State}
    for _ in State:
        found = {state: {end for mid in ends for end in found[mid]} for state, ends in found.items()}
    return found


REACHABLE = _reachable()


class AnyOrder(RuleBasedStateMachine):
    """Two numbers, so that they get in each other's way."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.desk: Desk = self.loop.run_until_complete(self.stack.enter_async_context(open_desk(self.url)))
        self.seen: dict[MessageId, tuple[State, int]] = {}
        self.ambiguous: set[MessageId] = set()
        self.batches: list[Batch] = []

    def teardown(self) -> None:
        self._do(self.stack.aclose())
        self.loop.close()

    def _do(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(step)

    def _batch(self, pick: int) -> Batch | None:
        return self.batches[pick % len(self.batches)] if self.batches else None

    def _message(self, pick: int) -> MessageId | None:
        return list(self.seen)[pick % len(self.seen)] if self.seen else None

    @rule(number=st.sampled_from([ALICE, BOB]))
    def accept(self, number: str) -> None:
        self.seen[self._do(self.desk.accept(number))] = (State.QUEUED, 1)

    @rule(sending=st.booleans())
    def lease(self, sending: bool) -> None:
        batch = self._do(self.desk.batches.lease(LOGIN, ACCOUNT))
        if isinstance(batch, Batch):
            self.batches.append(batch)
            if sending:
                self._do(self.desk.batches.mark_sending(batch, lease_ms=15_000))

    @rule(
        pick=st.integers(0, 9),
        fate=st.sampled_from(["missing", "requeue", "ambiguous", "rejected"]),
        takes=st.sampled_from(["none", "first", "all"]),
        call_ids=st.booleans(),
    )
    def settle(self, pick: int, fate: str, takes: str, call_ids: bool) -> None:
        batch = self._batch(pick)
        if batch is None:
            return
        chosen = batch.members[: {"none": 0, "first": 1, "all": None}[takes]]
        if self._do(self.desk.db.read("HGET", self.desk.db.key("b", batch.batch_id), "st")) != b"sending":
            fate, chosen = "requeue", ()
        taken = {one.message_id: f"c{one.message_id}" if call_ids else "" for one in chosen}
        self._do(self.desk.batches.settle(batch, fate, "0", taken=taken))

    @rule(pick=st.integers(0, 9))
    def worker_dies(self, pick: int) -> None:
        batch = self._batch(pick)
        if batch is not None:
            self._do(self.desk.db.read("ZADD", self.desk.db.key("leases"), "XX", 1, batch.batch_id))
            self._do(self.desk.batches.recover(most=10))

    @rule(pick=st.integers(0, 9), policy=st.sampled_from(["retry", "give_up"]))
    def reconcile(self, pick: int, policy: Any) -> None:
        batch = self._batch(pick)
        if batch is not None:
            self._do(self.desk.outcomes.reconcile(batch.batch_id, policy))

    @rule(pick=st.integers(0, 9))
    def expire(self, pick: int) -> None:
        message_id = self._message(pick)
        if message_id is not None and self.seen[message_id][0] is State.QUEUED:
            self._do(self.desk.make_expired(message_id))
            self._do(self.desk.batches.expire(LOGIN, most=10))

    @rule(pick=st.integers(0, 9))
    def cancel(self, pick: int) -> None:
        message_id = self._message(pick)
        if message_id is not None:
            self._do(self.desk.messages.cancel(message_id, "checkout"))

    @rule(
        pick=st.integers(0, 9),
        number=st.sampled_from([ALICE, BOB]),
        state=st.sampled_from([10, 40, 50]),
        known=st.booleans(),
    )
    def row(self, pick: int, number: str, state: int, known: bool) -> None:
        message_id = self._message(pick)
        self._do(self.desk.row(number, f"c{message_id}" if known else f"x{pick}", state))

    @rule()
    def time_out(self) -> None:
        self._do(self.desk.outcomes.time_out(SOURCE, timeout_ms=-1, most=10, asked_at_ms=10**15))

    @invariant()
    def all_is_as_the_table_allows(self) -> None:
        assert self._do(faults_of(self.desk.redis)) == []
        for message_id, (was, revision) in list(self.seen.items()):
            state, now_revision, events, maybe_rung = self._do(self._look(message_id))
            assert state in REACHABLE[was], (was, state)
            assert now_revision > revision or (now_revision, state) == (revision, was)
            if message_id in self.ambiguous:
                assert state not in UNCALLED
            finals = [one for one in events if State(one.removeprefix("message.")) in FINAL]
            settled_late = "message.undetermined" in finals and state is not State.UNDETERMINED
            assert len(finals) == (0 if state not in FINAL else 2 if settled_late else 1)
            if maybe_rung:
                self.ambiguous.add(message_id)
            self.seen[message_id] = (state, now_revision)

    async def _look(self, message_id: MessageId) -> tuple[State, int, list[str], bool]:
        shown = await self.desk.messages.show(message_id, None)
        assert shown is not None
        maybe_rung = await self.desk.field(message_id, "am") is not None
        types = [one.type or "" for one in shown.callbacks]
        return shown.message.state, shown.message.revision, types, maybe_rung


@pytest.mark.timeout(60)
def test_no_order_of_moves_breaks_what_the_table_promises(store_url: str) -> None:
    machine = type("AnyOrderHere", (AnyOrder,), {"url": store_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
