"""Moves, each made on a real Redis and on the model of it, and the two compared.

A worker here is whoever calls a script: one that stops between two scripts and never comes back is a batch that
nobody touches again; one that comes back late goes on with a batch or an event that is not its own any more, for the
machine forgets none that it was ever given. Owns the moves and what is compared; the rules are the model's,
and the order is the machine's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from app.config import CampaignConfig, OnAmbiguous, Rate
from app.message import MOVES, BatchId, MessageId, State
from app.secret import Secret
from app.store.actions import Verb
from app.store.batches import Batch, Batches, CeilingReached, Nothing, source_of
from app.store.events import DueEvent
from app.store.messages import Accepted, Draining, KeyConflict, Limited, QueueFull, Replayed
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
    OPERATOR,
    call_row,
    draft_of,
    ids_of,
)
from tests.store.model_outcomes import WholeModel
from tests.store.model_records import Told
from tests.store.snapshot import Snapshot, take_snapshot
from tests.store.tidy import faults_in

Answer = TypeVar("Answer")
Known = TypeVar("Known")

CODES = replace(
    LOGIN, batch_size=3, concurrency=2, max_queued=6, supersede_queued=True,
    per_number_limit=Rate(20, timedelta(minutes=10)), default_ttl=timedelta(minutes=2),
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

NUMBERS = (ALICE, BOB, "+84901000003")
OLD = 8
"""A pick from here on is of anything that there ever was, and so mostly of what is over."""


def _moves_between() -> dict[State, list[set[State]]]:
    """Where so many moves of the table may take a message, one script making several at most."""
    reach = {state: [{state}] for state in State}
    for _ in range(4):
        for ways in reach.values():
            ways.append({end for mid in ways[-1] for end in MOVES[mid]})
    return reach


_REACH = _moves_between()


def _latest(known: Sequence[Known], pick: int) -> Known:
    return known[-1 - pick % len(known)]


class Moves:
    """Two numbers, two clients and three campaigns of two accounts, so that they get in each other's way.

    A pick is of what may be moved now, or, from `OLD` on, of anything that there ever was: a worker that comes late.
    """

    def __init__(self, url: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.desk: SteppedDesk = self._do(self.stack.enter_async_context(open_stepped_desk(url)))
        self.model = WholeModel(self.desk.clock.now_ms)
        self.workers = {name: Batches(self.desk.db, name) for name in ("w1", "w2")}
        for name in self.workers:
            self.beat(name)
        self.latest_ms = self.desk.clock.now_ms
        self.batches: list[Batch] = []
        self.attempts: list[DueEvent] = []
        self.rung: dict[MessageId, set[BatchId]] = {}
        """Imports that left with the message and of which nobody said that nothing was taken."""
        self.accepted = self.calls = 0
        self.unchanged = False
        """The last move was one that must write nothing."""
        self.was: Snapshot = self._do(take_snapshot(self.desk.redis))

    def close(self) -> None:
        """The connection is closed."""
        self._do(self.stack.aclose())
        self.loop.close()

    def _do(self, step: Coroutine[object, object, Answer]) -> Answer:
        return self.loop.run_until_complete(step)

    @property
    def now_ms(self) -> int:
        """The time that the scripts are told."""
        return self.desk.clock.now_ms

    def _batch(self, pick: int, *states: str) -> Batch:
        """As a rule one whose worker lives; now and then any that there ever was."""
        lots = self.model.lots
        living = [one for one in self.batches if one.batch_id in lots and lots[one.batch_id].state in states]
        return _latest(living if living and pick < OLD else self.batches, pick)

    def _message(self, pick: int) -> Told:
        return _latest(list(self.model.messages.values()), pick)

    def _campaign(self, pick: int) -> CampaignConfig:
        """As a rule one with something to send."""
        ready = [one for one in CAMPAIGNS.values() if self.model.eligible(one)]
        return _latest(ready if ready and pick < OLD else list(CAMPAIGNS.values()), pick)

    def _number(self, campaign: CampaignConfig, number: str) -> tuple[str, str]:
        return campaign.account, self.desk.db.index.of("number", number)

    # The API -------------------------------------------------------------------------------------------------------

    def accept(
        self,
        campaign: str,
        number: str,
        client: str,
        *,
        key: str | None = None,
        body: bytes = b"1",
        ttl_ms: int | None = None,
        called_back: bool = True,
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
            case Draining():
                assert (word, whose) == ("draining", None)
            case QueueFull() | KeyConflict():
                assert (word, whose) == ("full" if isinstance(answer, QueueFull) else "conflict", None)
        self.unchanged = word != "accepted"

    def cancel(self, pick: int, by: str) -> None:
        """A DELETE."""
        if not self.model.messages:
            return
        one = self._message(pick)
        before, client = one.state, one.client.name if by == "its own" else by
        answer = self._do(self.desk.messages.cancel(one.id, client))
        assert answer == self.model.cancel(one.id, client)
        self.unchanged = answer != "cancelled" or before is State.CANCELLED

    # The carrier ---------------------------------------------------------------------------------------------------

    def lease(self, pick: int, worker: str, *, marking: bool) -> None:
        """A worker asks for a batch, and as a rule goes on to mark it."""
        campaign = self._campaign(pick)
        account = ACCOUNTS[campaign.account]
        reason, until_ms = self.model.campaigns.held(campaign, self.now_ms)
        answer = self._do(self.workers[worker].lease(campaign, account))
        if reason == "paused":
            assert answer == Nothing(5_000, held="paused")
        elif until_ms > self.now_ms:
            assert answer == Nothing(int(until_ms) - self.now_ms, held=reason)
        elif self.model.under_way(campaign.name) >= campaign.concurrency:
            assert answer == Nothing(None)
        elif news := self.model.campaigns.news(campaign, self.now_ms):
            assert answer == CeilingReached(*news)
        elif self.model.campaigns.at_ceiling(campaign, self.now_ms, self.model.claimed(campaign.name)):
            assert answer == Nothing(
                self.model.campaigns.full_until_ms[campaign.name] - self.now_ms, held="ceiling"
            )
        elif isinstance(answer, Nothing):
            assert answer.held is None
            assert not self._may_go(campaign, probe=reason is not None)
        else:
            assert isinstance(answer, Batch)
            assert answer.probe == (reason is not None)
            self._right_time(campaign, answer)
            source = source_of(campaign, account)
            self.model.leased(answer.batch_id, campaign, ids_of(answer), source, worker)
            self.batches.append(answer)
            if marking:
                self.mark(0)

    def _may_go(self, campaign: CampaignConfig, *, probe: bool) -> bool:
        eligible = self.model.eligible(campaign)
        if not eligible or probe:
            return bool(eligible)
        lingered = min(one.due_ms for one in eligible) + campaign.linger.total_seconds() * 1000 <= self.now_ms
        return lingered or len(eligible) >= self._room(campaign)

    def _room(self, campaign: CampaignConfig) -> int:
        return self.model.campaigns.room(campaign, self.now_ms, self.model.claimed(campaign.name))

    def _right_time(self, campaign: CampaignConfig, batch: Batch) -> None:
        """It is full, or one that waits, perhaps for its number, has waited for the linger."""
        due = [one.due_ms for one in self.model.queued(campaign.name) if one.due_ms <= self.now_ms]
        lingered = min(due) + campaign.linger.total_seconds() * 1000 <= self.now_ms
        assert batch.probe or lingered or len(due) >= self._room(campaign)

    def mark(self, pick: int) -> None:
        """The import leaves, if the lease still is this worker's: never a second one, unless it is known why."""
        if not self.batches:
            return
        batch = self._batch(pick, "leased")
        answer = self._do(self.desk.batches.mark_sending(batch, lease_ms=SENDING_MS))
        assert answer == self.model.mark_sending(batch.batch_id, SENDING_MS)
        self.unchanged = answer is None
        for one in answer[1] if answer else ():
            assert not self.rung.get(one), "a second import of what may have been taken"
            self.rung[one] = {batch.batch_id}

    def renew(self, pick: int) -> None:
        """A batch waits for a token, or for its other half."""
        batch = self._batch(pick, "leased")
        renewed = self._do(self.desk.batches.renew(batch))
        assert renewed == self.model.renew(batch.batch_id)
        self.unchanged = not renewed

    def settle(self, pick: int, others: str, takes: str, *, named: bool, hold: str, lone: bool) -> None:
        """The import's answer is written, by the batch's worker or by one that comes too late."""
        if not self.batches:
            return
        batch = self._batch(pick, "sending", "leased")
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

    def split(self, pick: int, *, smaller: bool) -> None:
        """The provider refused the whole import."""
        if not self.batches:
            return
        batch = self._batch(pick, "sending")
        lot = self.model.lots.get(batch.batch_id)
        if lot is not None and len(lot.members) < 2:
            return
        halves = self._do(self.desk.batches.split(batch, smaller_from_now=smaller))
        ids = (halves[0].batch_id, halves[1].batch_id) if halves else (BatchId(""), BatchId(""))
        assert self.model.split(batch.batch_id, ids, smaller) == (halves is not None)
        self.unchanged = halves is None
        if halves is not None:
            self._nothing_taken(batch, ids_of(batch), but={})
            self.batches += halves

    def beat(self, worker: str) -> None:
        """The worker is heard of."""
        self._do(self.desk.db.read("SET", self.desk.db.key("alive", worker), "1", "PX", 10**9))
        self.model.alive.add(worker)

    def miss(self, worker: str) -> None:
        """The worker is not heard of any more: it may be dead, or stopped and come back."""
        self._do(self.desk.db.read("DEL", self.desk.db.key("alive", worker)))
        self.model.alive.discard(worker)

    # The sweep and the clock ---------------------------------------------------------------------------------------

    def time_passes(self, step_ms: int) -> None:
        """Or the clock is set back."""
        self._do(self.desk.clock.step(step_ms))
        self.model.step(step_ms, KEEP_MS)
        self.latest_ms = max(self.latest_ms, self.now_ms)
        self._living_beat()

    def recover(self) -> None:
        """Leases that ran out are taken back."""
        assert set(self._do(self.desk.batches.recover(most=100))) == self.model.recover()

    def expire(self) -> None:
        """What waited too long is ended."""
        for campaign in CAMPAIGNS.values():
            assert self._do(self.desk.batches.expire(campaign, most=100)) == self.model.expire(campaign)

    def retention_passes(self) -> None:
        """Nothing waits to be sent or delivered, and every record of what is over ends."""
        if self.model.post.pending() or self.model.waiting():
            return
        self._do(self.desk.clock.step(KEEP_MS + 40_000_000))
        self.model.step(KEEP_MS + 40_000_000, KEEP_MS)
        self.latest_ms = max(self.latest_ms, self.now_ms)
        self._living_beat()

    def _living_beat(self) -> None:
        for worker in list(self.model.alive):
            self.beat(worker)

    # The collector -------------------------------------------------------------------------------------------------

    def row(
        self, pick: int, call: str, state: int, *, ago_ms: int | None, tolerance_ms: int, redial_ms: int
    ) -> None:
        """A row of an export: of any call, in any order, as often as it likes, or of nobody's."""
        campaign, number = CODES, ALICE
        called = [one for one in self.model.messages.values() if one.imports]
        called = [one for one in called if one.state not in (State.ANSWERED, State.FAILED)] or called
        call_id = {"none": "", "new": f"x{pick}"}.get(call, "")
        if called and pick <= OLD:
            one = _latest(called, pick)
            campaign = one.campaign
            number = next(each for each in NUMBERS if self._number(campaign, each) == one.number)
            call_id = one.imports[-1].call_id if call == "known" else call_id
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

    def reconcile(self, pick: int, policy: OnAmbiguous) -> None:
        """No export showed the import."""
        if not self.batches:
            return
        batch_id = self._batch(pick, "ambiguous").batch_id
        lot = self.model.lots.get(batch_id)
        members = [] if lot is None else [one.id for one in self.model.members(lot)]
        answer = self._do(self.desk.outcomes.reconcile(batch_id, policy))
        assert answer == self.model.reconcile(batch_id, policy)
        self.unchanged = answer is None
        for one in members if answer is not None and policy == "retry" else ():
            self.rung[one].clear()

    def time_out(self, pick: int, timeout_ms: int, *, asked_ago_ms: int) -> None:
        """A whole export, begun so long ago, told nothing."""
        campaign = _latest(list(CAMPAIGNS.values()), pick)
        source = source_of(campaign, ACCOUNTS[campaign.account])
        asked_ms = self.now_ms - asked_ago_ms
        ended = self._do(
            self.desk.outcomes.time_out(source, timeout_ms=timeout_ms, most=100, asked_at_ms=asked_ms)
        )
        assert {tuple(map(str, each)) for each in ended} == self.model.time_out(source, timeout_ms, asked_ms)

    # The pusher ----------------------------------------------------------------------------------------------------

    def claim_events(self) -> None:
        """A worker takes what is due."""
        fence = f"f{len(self.attempts)}"
        _, due = self._do(self.desk.events.claim(most=100, slots=SLOTS, lease_ms=ATTEMPT_MS, fence=fence))
        picked = [one.event_id for one in due]
        exact = self.now_ms >= self.latest_ms
        self.model.post.claimed(picked, fence, SLOTS, ATTEMPT_MS, self.now_ms, all_due=exact)
        self.attempts += due

    def settle_event(self, pick: int, verdict: str) -> None:
        """What became of an attempt, by its worker or by one that comes too late."""
        if not self.attempts:
            return
        post = self.model.post.events
        living = [
            one for one in self.attempts if one.event_id in post and post[one.event_id].fence == one.fence
        ]
        due = _latest(living if living and pick < OLD else self.attempts, pick)
        status = {"delivered": 200, "gone": 410}.get(verdict)
        word = "dead" if verdict == "gone" else verdict
        settled = self._do(self.desk.events.settle(due, word, status=status, error="no", retry_in_ms=2_000))
        assert settled == self.model.post.settle(due.event_id, due.fence, word, status, 2_000, self.now_ms)
        self.unchanged = not settled

    def replay_event(self, pick: int, client: str) -> None:
        """Someone wants it again."""
        post = self.model.post.events
        if not post:
            return
        over = [one.id for one in post.values() if one.state not in ("pending", "none")]
        event_id = _latest(over if over and pick < OLD else list(post), pick)
        before = post[event_id].state
        if client == "an operator":
            answer = self._do(self.desk.actions.replay(event_id, OPERATOR))
            client = post[event_id].client
            if answer == "queued" and before != "pending":
                self.model.campaigns.actions.append("replay_callback")
        else:
            answer = self._do(self.desk.events.replay(client, event_id))
        assert answer == self.model.post.replay(event_id, client, self.now_ms)
        self.unchanged = answer != "queued" or before == "pending"

    # Operators -----------------------------------------------------------------------------------------------------

    def operate(self, name: str, does: str, why: str) -> None:
        """Pauses, drains or resumes a campaign, makes its account's secret key wrong, or sets all that right."""
        campaign, state = CAMPAIGNS[name], self.model.campaigns
        verbs: dict[str, Verb] = {"pause": "pause", "drain": "drain", "run": "resume"}
        if does in verbs:
            changed = self._do(
                self.desk.actions.on_campaign(verbs[does], campaign.name, replace(OPERATOR, why=why))
            )
            assert changed == state.operated(verbs[does], campaign.name, why)
            self.unchanged = not changed
        if does == "run" and campaign.account in state.locked:
            self._do(self.desk.tokens.store(campaign.account, Secret.of("token"), None, "w"))
            state.locked.pop(campaign.account)
            self.unchanged = False
        elif does == "refuse":
            self._do(self.desk.tokens.lock(campaign.account, "w"))
            state.key_refused(campaign.account, self.now_ms)

    # After every step ----------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Redis is as the model says and tidy: nothing else was written, and every move is one of the table."""
        self._do(self.desk.clock.step(0))
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
