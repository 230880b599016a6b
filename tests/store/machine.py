"""The machine that makes moves in any order, on a real Redis and on the model, and compares the two after each.

A worker here is whoever calls a script: one that stops between two scripts and never comes back is a batch that
nobody touches again; one that comes back late goes on with a batch or an event that is not its own any more, for the
machine forgets none that it was ever given. Owns the moves and what is compared; the rules are the model's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.config import CampaignConfig, OnAmbiguous, Rate
from app.message import MOVES, BatchId, MessageId, State
from app.secret import Secret
from app.store.batches import Batch, Nothing, source_of
from app.store.events import DueEvent
from app.store.messages import Accepted, KeyConflict, Limited, QueueFull, Replayed
from tests.store.alike import differences
from tests.store.clock import SteppedDesk, open_stepped_desk
from tests.store.desk import (
    ACCOUNT,
    ALICE,
    BOB,
    CHECKOUT,
    DESTINATION,
    KEEP_MS,
    LOGIN,
    call_row,
    draft_of,
    ids_of,
)
from tests.store.model_outcomes import WholeModel
from tests.store.model_records import Told
from tests.store.snapshot import Snapshot, take_snapshot
from tests.store.tidy import faults_in

Answer = TypeVar("Answer")

CODES = replace(
    LOGIN, batch_size=3, concurrency=2, max_queued=6, supersede_queued=True,
    per_number_limit=Rate(6, timedelta(minutes=10)), default_ttl=timedelta(minutes=2),
)  # fmt: skip
NOTICES = replace(
    LOGIN, name="order-notice", campaign_id="c2", kind="notification", batch_size=2, concurrency=4,
    linger=timedelta(seconds=5), max_per_hour=5, max_queued=6, default_ttl=timedelta(hours=2),
)  # fmt: skip
ELSEWHERE = replace(LOGIN, name="elsewhere", account="second", campaign_id="c3", batch_size=2)
CAMPAIGNS = {"codes": CODES, "notices": NOTICES, "elsewhere": ELSEWHERE}
ACCOUNTS = {"main": ACCOUNT, "second": replace(ACCOUNT, name="second")}
SHOP = replace(CHECKOUT, rate_limit=Rate(50, timedelta(minutes=50)))
DELIVERY = replace(
    SHOP, name="delivery", events=("final", "submitted"), rate_limit=Rate(8, timedelta(minutes=8))
)
CLIENTS = {"checkout": SHOP, "delivery": DELIVERY}
DESTINATIONS = {"checkout": DESTINATION, "delivery": "https://delivery.internal:443"}
SENDING_MS, ATTEMPT_MS, PROBE_MS, SLOTS = 15_000, 15_000, 4_000, 2
STEPS_MS = (1_003, 1_003, 5_009, 7_011, 31_017, 301_029, 3_700_001, -2_017, -300_013)

campaigns = st.sampled_from(tuple(CAMPAIGNS))
numbers = st.sampled_from((ALICE, BOB))
picks = st.integers(0, 11)


def _moves_between() -> dict[State, list[set[State]]]:
    """Where so many moves of the table may take a message, one script making several at most."""
    reach = {state: [{state}] for state in State}
    for _ in range(4):
        for ways in reach.values():
            ways.append({end for mid in ways[-1] for end in MOVES[mid]})
    return reach


_REACH = _moves_between()


class AnyOrder(RuleBasedStateMachine):
    """Two numbers, two clients and three campaigns of two accounts, so that they get in each other's way."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.desk: SteppedDesk = self._do(self.stack.enter_async_context(open_stepped_desk(self.url)))
        self.model = WholeModel(self.desk.clock.now_ms)
        self.latest_ms = self.desk.clock.now_ms
        self.batches: list[Batch] = []
        self.attempts: list[DueEvent] = []
        self.rung: dict[MessageId, set[BatchId]] = {}
        """Imports that left with the message and of which nobody said that nothing was taken."""
        self.accepted = self.calls = 0
        self.unchanged = False
        """The last move was one that must write nothing."""
        self.was: Snapshot = self._do(take_snapshot(self.desk.redis))

    def teardown(self) -> None:
        """The connection is closed."""
        self._do(self.stack.aclose())
        self.loop.close()

    def _do(self, step: Coroutine[object, object, Answer]) -> Answer:
        return self.loop.run_until_complete(step)

    @property
    def now_ms(self) -> int:
        """The time that the scripts are told."""
        return self.desk.clock.now_ms

    def _batch(self, pick: int) -> Batch:
        return self.batches[-1 - pick % len(self.batches)]

    def _message(self, pick: int) -> Told | None:
        known = list(self.model.messages.values())
        return known[-1 - pick % len(known)] if known else None

    def _number(self, campaign: CampaignConfig, number: str) -> tuple[str, str]:
        return campaign.account, self.desk.db.index.of("number", number)

    # The API -------------------------------------------------------------------------------------------------------

    @rule(
        campaign=campaigns,
        number=numbers,
        client=st.sampled_from(tuple(CLIENTS)),
        key=st.sampled_from((None, None, None, "k1", "k2")),
        body=st.sampled_from((b"1", b"1", b"2")),
        ttl_ms=st.sampled_from((None, None, 5_000)),
        called_back=st.sampled_from((True, True, True, False)),
    )
    def accept(
        self,
        campaign: str,
        number: str,
        client: str,
        key: str | None,
        body: bytes,
        ttl_ms: int | None,
        called_back: bool,
    ) -> None:
        """A POST."""
        sender, chosen = CLIENTS[client], CAMPAIGNS[campaign]
        destination = DESTINATIONS[client] if called_back else None
        draft = draft_of(
            number,
            client=sender,
            campaign=chosen,
            key=key,
            sent=body,
            ttl_ms=ttl_ms,
            destination=destination,
        )
        self.accepted += 1
        new_id = MessageId(f"msg_{self.accepted:026d}")
        answer = self._do(self.desk.messages.accept(draft, new_id))
        life_ms = ttl_ms or round(chosen.default_ttl.total_seconds() * 1000)
        place = self._number(chosen, number)
        new = Told(new_id, sender, chosen, place, self.now_ms, self.now_ms + life_ms, destination)
        word, whose = self.model.accept(new, key=key, body=body, supersede=chosen.supersede_queued)
        match answer:
            case Accepted(message) | Replayed(message):
                assert (word, whose) == (
                    "accepted" if isinstance(answer, Accepted) else "replayed",
                    message.id,
                )
            case Limited(scope):
                assert (word, whose) == (scope, None)
            case QueueFull() | KeyConflict():
                assert (word, whose) == ("full" if isinstance(answer, QueueFull) else "conflict", None)
        self.unchanged = word != "accepted"

    @rule(pick=picks, client=st.sampled_from(tuple(CLIENTS)))
    def cancel(self, pick: int, client: str) -> None:
        """A DELETE."""
        one = self._message(pick)
        message_id = MessageId("msg_none") if one is None else one.id
        before = None if one is None else one.state
        answer = self._do(self.desk.messages.cancel(message_id, client))
        assert answer == self.model.cancel(message_id, client)
        self.unchanged = answer != "cancelled" or before is State.CANCELLED

    # The carrier ---------------------------------------------------------------------------------------------------

    @rule(name=campaigns, marking=st.booleans())
    def lease(self, name: str, marking: bool) -> None:
        """A worker asks for a batch, and perhaps goes on to mark it."""
        campaign = CAMPAIGNS[name]
        account = ACCOUNTS[campaign.account]
        reason, until_ms = self.model.campaigns.held(campaign, self.now_ms)
        answer = self._do(self.desk.batches.lease(campaign, account))
        if reason == "paused":
            assert answer == Nothing(5_000, held="paused")
        elif until_ms > self.now_ms:
            assert answer == Nothing(int(until_ms) - self.now_ms, held=reason)
        elif self.model.under_way(campaign.name) >= campaign.concurrency:
            assert answer == Nothing(None)
        elif self.model.campaigns.at_ceiling(campaign, self.now_ms):
            assert answer == Nothing(
                self.model.campaigns.full_until_ms[campaign.name] - self.now_ms, held="ceiling"
            )
        elif isinstance(answer, Nothing):
            assert answer.held is None
            assert not self._may_go(campaign, probe=reason is not None)
        else:
            assert answer.probe == (reason is not None)
            self._right_time(campaign, answer)
            source = source_of(campaign, account)
            self.model.leased(answer.batch_id, campaign, ids_of(answer), source)
            self.batches.append(answer)
            if marking:
                self.mark(0)

    def _may_go(self, campaign: CampaignConfig, *, probe: bool) -> bool:
        eligible = self.model.eligible(campaign)
        if not eligible or probe:
            return bool(eligible)
        lingered = min(one.due_ms for one in eligible) + campaign.linger.total_seconds() * 1000 <= self.now_ms
        return lingered or len(eligible) >= self.model.campaigns.room(campaign, self.now_ms)

    def _right_time(self, campaign: CampaignConfig, batch: Batch) -> None:
        """It is full, or one that waits, perhaps for its number, has waited for the linger."""
        due = [one.due_ms for one in self.model.queued(campaign.name) if one.due_ms <= self.now_ms]
        lingered = min(due) + campaign.linger.total_seconds() * 1000 <= self.now_ms
        assert batch.probe or lingered or len(due) >= self.model.campaigns.room(campaign, self.now_ms)

    @precondition(lambda self: self.batches)
    @rule(pick=picks)
    def mark(self, pick: int) -> None:
        """The import leaves, if the lease still is this worker's: never a second one, unless it is known why."""
        batch = self._batch(pick)
        answer = self._do(self.desk.batches.mark_sending(batch, lease_ms=SENDING_MS))
        assert answer == self.model.mark_sending(batch.batch_id, SENDING_MS)
        self.unchanged = answer is None
        for one in answer[1] if answer else ():
            assert not self.rung.get(one), "a second import of what may have been taken"
            self.rung[one] = {batch.batch_id}

    @precondition(lambda self: self.batches)
    @rule(
        pick=picks,
        others=st.sampled_from(("missing", "missing", "requeue", "rejected", "ambiguous")),
        takes=st.sampled_from(("none", "first", "all", "all")),
        named=st.booleans(),
        hold=st.sampled_from(("", "release", "release", "campaign_stopped", "provider_unavailable")),
        lone=st.sampled_from((False, False, True)),
    )
    def settle(self, pick: int, others: str, takes: str, named: bool, hold: str, lone: bool) -> None:
        """The import's answer is written, by the batch's worker or by one that comes too late."""
        batch = self._batch(pick)
        taken: dict[MessageId, str] = {}
        for one in ids_of(batch)[: {"none": 0, "first": 1, "all": None}[takes]]:
            self.calls += 1
            taken[one] = f"c{self.calls}" if named else ""
        argument = "3000" if others == "requeue" else "invalid_contact"
        answer = self._do(
            self.desk.batches.settle(
                batch, others, argument, taken=taken, hold=hold, probe_after_ms=PROBE_MS, lone=lone
            )
        )
        assert answer == self.model.settle(
            batch.batch_id, others, argument, taken=taken, hold=hold, probe_after_ms=PROBE_MS, lone=lone
        )
        self.unchanged = answer is None
        if answer is not None and others != "ambiguous":
            self._nothing_taken(batch, ids_of(batch), but=taken)

    def _nothing_taken(self, batch: Batch, ids: list[MessageId], *, but: dict[MessageId, str]) -> None:
        for one in ids:
            if one not in but:
                self.rung.get(one, set()).discard(batch.batch_id)

    @precondition(lambda self: any(len(one.members) > 1 for one in self.batches))
    @rule(pick=picks, smaller=st.booleans())
    def split(self, pick: int, smaller: bool) -> None:
        """The provider refused the whole import."""
        large = [one for one in self.batches if len(one.members) > 1]
        batch = large[-1 - pick % len(large)]
        lot = self.model.lots.get(batch.batch_id)
        if lot is not None and lot.state == "sending" and len(lot.members) < 2:
            return
        halves = self._do(self.desk.batches.split(batch, smaller_from_now=smaller))
        ids = (halves[0].batch_id, halves[1].batch_id) if halves else (BatchId(""), BatchId(""))
        assert self.model.split(batch.batch_id, ids, smaller) == (halves is not None)
        self.unchanged = halves is None
        if halves is not None:
            self._nothing_taken(batch, ids_of(batch), but={})
            self.batches += halves

    # The sweep and the clock ---------------------------------------------------------------------------------------

    @rule(step_ms=st.sampled_from(STEPS_MS))
    def time_passes(self, step_ms: int) -> None:
        """Or the clock is set back."""
        self._do(self.desk.clock.step(step_ms))
        self.model.step(step_ms, KEEP_MS)
        self.latest_ms = max(self.latest_ms, self.now_ms)

    @rule()
    def recover(self) -> None:
        """Leases that ran out are taken back."""
        assert set(self._do(self.desk.batches.recover(most=100))) == self.model.recover()

    @rule(name=campaigns)
    def expire(self, name: str) -> None:
        """What waited too long is ended."""
        campaign = CAMPAIGNS[name]
        assert self._do(self.desk.batches.expire(campaign, most=100)) == self.model.expire(campaign)

    @precondition(lambda self: not self.model.post.pending() and not self.model.waiting())
    @rule()
    def retention_passes(self) -> None:
        """Nothing waits to be sent or delivered, and every record of what is over ends."""
        self._do(self.desk.clock.step(KEEP_MS + 40_000_000))
        self.model.step(KEEP_MS + 40_000_000, KEEP_MS)
        self.latest_ms = max(self.latest_ms, self.now_ms)

    # The collector -------------------------------------------------------------------------------------------------

    @rule(
        name=campaigns,
        number=numbers,
        pick=picks,
        known=st.sampled_from(("known", "known", "new", "none")),
        state=st.sampled_from((10, 40, 40, 50, 50)),
        ago_ms=st.sampled_from((None, 0, 0, 60_000)),
        tolerance_ms=st.sampled_from((3_000, 300_000)),
        redial_ms=st.sampled_from((0, 60_000)),
    )
    def row(
        self,
        name: str,
        number: str,
        pick: int,
        known: str,
        state: int,
        ago_ms: int | None,
        tolerance_ms: int,
        redial_ms: int,
    ) -> None:
        """A row of an export: of any call, in any order, as often as it likes, or of nobody's."""
        campaign, one = CAMPAIGNS[name], self._message(pick)
        call_id = {"none": "", "new": f"x{pick}"}.get(known, "")
        if known == "known" and one is not None and one.imports:
            campaign, call_id = one.campaign, one.imports[-1].call_id
            number = ALICE if self._number(campaign, ALICE) == one.number else BOB
        called_ms = None if ago_ms is None else self.now_ms - ago_ms
        finding = self._do(
            self.desk.outcomes.give_row(
                campaign.account,
                number,
                call_row(call_id, state),
                "busy",
                called_at_ms=called_ms,
                tolerance_ms=tolerance_ms,
                redial_ms=redial_ms,
            )
        )
        fate, whose = self.model.give_row(
            self._number(campaign, number),
            call_id,
            state,
            called_ms=called_ms or 0,
            tolerance_ms=tolerance_ms,
            reason="busy",
            redial_ms=redial_ms,
        )
        assert (finding.fate, finding.message_id) == (fate, None if whose is None else whose.id)
        self.unchanged = fate in ("known", "unexplained")

    @precondition(lambda self: self.batches)
    @rule(pick=picks, policy=st.sampled_from(("retry", "retry", "give_up")))
    def reconcile(self, pick: int, policy: OnAmbiguous) -> None:
        """No export showed the import."""
        sought = [one.id for one in self.model.ambiguous()] or [self._batch(pick).batch_id]
        batch_id = sought[pick % len(sought)]
        lot = self.model.lots.get(batch_id)
        members = [] if lot is None else [one.id for one in self.model.members(lot)]
        answer = self._do(self.desk.outcomes.reconcile(batch_id, policy))
        assert answer == self.model.reconcile(batch_id, policy)
        self.unchanged = answer is None
        for one in members if answer is not None and policy == "retry" else ():
            self.rung[one].clear()

    @rule(name=campaigns, timeout_ms=st.sampled_from((60_000, 600_000)))
    def time_out(self, name: str, timeout_ms: int) -> None:
        """Calls that nobody tells of."""
        campaign = CAMPAIGNS[name]
        source = source_of(campaign, ACCOUNTS[campaign.account])
        ended = self._do(self.desk.outcomes.time_out(source, timeout_ms=timeout_ms, most=100))
        assert {tuple(map(str, each)) for each in ended} == self.model.time_out(source, timeout_ms)

    # The pusher ----------------------------------------------------------------------------------------------------

    @rule()
    def claim_events(self) -> None:
        """A worker takes what is due."""
        fence = f"f{len(self.attempts)}"
        _, due = self._do(self.desk.events.claim(most=100, slots=SLOTS, lease_ms=ATTEMPT_MS, fence=fence))
        picked = [one.event_id for one in due]
        exact = self.now_ms >= self.latest_ms
        self.model.post.claimed(picked, fence, SLOTS, ATTEMPT_MS, self.now_ms, all_due=exact)
        self.attempts += due

    @precondition(lambda self: self.attempts)
    @rule(pick=picks, verdict=st.sampled_from(("delivered", "delivered", "retry", "retry", "dead", "gone")))
    def settle_event(self, pick: int, verdict: str) -> None:
        """What became of an attempt, by its worker or by one that comes too late."""
        due = self.attempts[-1 - pick % len(self.attempts)]
        status = {"delivered": 200, "gone": 410}.get(verdict)
        word = "dead" if verdict == "gone" else verdict
        settled = self._do(self.desk.events.settle(due, word, status=status, error="no", retry_in_ms=2_000))
        assert settled == self.model.post.settle(due.event_id, due.fence, word, status, 2_000, self.now_ms)
        self.unchanged = not settled

    @precondition(lambda self: self.model.post.events)
    @rule(pick=picks, client=st.sampled_from(tuple(CLIENTS)))
    def replay_event(self, pick: int, client: str) -> None:
        """Someone wants it again."""
        known = list(self.model.post.events)
        event_id = known[-1 - pick % len(known)]
        before = self.model.post.events[event_id].state
        answer = self._do(self.desk.events.replay(client, event_id))
        assert answer == self.model.post.replay(event_id, client, self.now_ms)
        self.unchanged = answer != "queued" or before == "pending"

    # Operators -----------------------------------------------------------------------------------------------------

    @rule(name=campaigns)
    def pause_or_resume(self, name: str) -> None:
        """By hand."""
        campaign = CAMPAIGNS[name]
        key = self.desk.db.key("pause", campaign.name)
        if campaign.name in self.model.campaigns.paused:
            self._do(self.desk.db.read("DEL", key))
            self.model.campaigns.paused.discard(campaign.name)
        else:
            self._do(self.desk.db.read("HSET", key, "at", self.now_ms))
            self.model.campaigns.paused.add(campaign.name)

    @rule(account=st.sampled_from(tuple(ACCOUNTS)), right=st.booleans())
    def try_the_secret_key(self, account: str, right: bool) -> None:
        """The provider refuses it, or gives a token."""
        if right:
            self._do(self.desk.tokens.store(account, Secret.of("token"), None, "w"))
            self.model.campaigns.locked.pop(account, None)
        else:
            self._do(self.desk.tokens.lock(account, "w"))
            self.model.campaigns.key_refused(account, self.now_ms)

    # After every step ----------------------------------------------------------------------------------------------

    @invariant()
    def redis_is_as_the_model_says_and_tidy(self) -> None:
        """Nothing else was written, every move is of the table, and nothing is orphaned or lost."""
        found = self._do(take_snapshot(self.desk.redis))
        wrong = self.was.changes_to(found) if self.unchanged else []
        wrong += differences(self.model, found) + faults_in(found, now_ms=self.latest_ms)
        assert not wrong, "; ".join(wrong)
        for one, message in found.messages.items():
            before = self.was.messages.get(one)
            if before is not None:
                moves = int(message["v"]) - int(before["v"])
                assert State(message["s"]) in _REACH[State(before["s"])][moves], (
                    before["s"],
                    moves,
                    message["s"],
                )
        self.was, self.unchanged = found, False
