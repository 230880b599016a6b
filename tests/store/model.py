"""What the store's scripts do, in plain Python: read this to know the rules, and the scripts to know how they are kept.

A move takes what the script takes and gives what the script must answer; None stands for "lost": the caller's batch
is not in the state that it believes, and nothing changes. Times are in ms. The delivery of events is in
`model_events.py`. Which messages a lease picks is not foretold here: `leased` says what a right pick is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from app.config import CampaignConfig
from app.message import MOVES, BatchId, MessageId, State
from app.store.batches import EXPIRY_MARGIN_MS, LEASE_MS, LONE_REJECTIONS, SMALLER_FOR_MS, Tally
from app.store.messages import IDEMPOTENCY_LIFE_MS
from tests.store.model_campaigns import Campaigns
from tests.store.model_events import PostOffice
from tests.store.model_records import Import, Lot, Number, Told

HOUR_MS = 3_600_000


class Model:
    """All that the store knows."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.messages: dict[MessageId, Told] = {}
        self.lots: dict[BatchId, Lot] = {}
        self.claims: dict[Number, MessageId] = {}
        self.calls: dict[Number, dict[MessageId, int]] = {}
        """Who was imported for a number, by when: the order in which rows are matched."""
        self.calls_end: dict[Number, int] = {}
        self.keys: dict[tuple[str, str], tuple[MessageId, bytes, int]] = {}
        """A client's idempotency key: whose it is, of which body, and until when."""
        self.alive: set[str] = set()
        """Workers whose heartbeat is heard."""
        self.campaigns = Campaigns()
        self.post = PostOffice()

    # Time ----------------------------------------------------------------------------------------------------------

    def step(self, by_ms: int, keep_ms: int) -> None:
        """Time passes, or the clock is set back. What is over for longer than `keep_ms` is forgotten."""
        self.now_ms += by_ms
        self.campaigns.forget(self.now_ms)
        self.post.forget(self.now_ms)
        self.keys = {key: each for key, each in self.keys.items() if each[2] > self.now_ms}
        for number, end_ms in list(self.calls_end.items()):
            if end_ms <= self.now_ms:
                del self.calls[number], self.calls_end[number]
        if by_ms > keep_ms:
            self.messages = {one.id: one for one in self.messages.values() if one.unfinished}
            self.post.events = {}

    # Steps that several moves share --------------------------------------------------------------------------------

    def move(self, one: Told, to: State) -> None:
        """Along the table, and the revision rises with it."""
        assert to in MOVES[one.state], (one.state, to)
        one.state = to
        one.revision += 1

    def finish(self, one: Told, state: State, reason: str | None) -> None:
        """A final state brings its one event, and the number is free."""
        self.move(one, state)
        one.batch, one.reason = None, reason
        self.post.emit(one.id, one.revision, state, one.client.name, one.destination, self.now_ms)
        self._keep_calls(one.number)
        self.release(one)

    def finish_uncalled(self, one: Told, state: State, reason: str) -> None:
        """Once an import of it was ambiguous, nobody can say that no phone rang."""
        if one.may_have_rung:
            self.finish(one, State.UNDETERMINED, "ambiguous_import")
        else:
            self.finish(one, state, reason)

    def _keep_calls(self, number: Number) -> None:
        """Rows of a number come again for an hour; of an undetermined call, as long as its record is kept."""
        states = [self.messages[one].state for one in self.calls.get(number, {}) if one in self.messages]
        if (
            number not in self.calls
            or State.SUBMITTED in states
            or State.SUBMITTING in states
            or State.QUEUED in states
        ):
            return
        life_ms = self.post.keep_ms if State.UNDETERMINED in states else HOUR_MS
        self.calls_end[number] = self.now_ms + life_ms

    def release(self, one: Told) -> None:
        """The number is free, if this message held it."""
        if self.claims.get(one.number) == one.id:
            del self.claims[one.number]

    def requeue(self, one: Told, due_ms: int) -> None:
        """Back into the queue, due then."""
        self.move(one, State.QUEUED)
        one.batch, one.due_ms = None, due_ms
        self.release(one)

    def submit(self, one: Told, sent_ms: int, source: str) -> None:
        """The import took it: its row is waited for."""
        self.move(one, State.SUBMITTED)
        one.batch, one.submitted_ms, one.source = None, sent_ms, source
        if "submitted" in one.client.events:
            self.post.emit(
                one.id, one.revision, State.SUBMITTED, one.client.name, one.destination, self.now_ms
            )

    def _forget_import(self, one: Told, batch: BatchId) -> None:
        one.imports = [each for each in one.imports if each.batch != batch]

    def _never_called(self, one: Told, batch: BatchId) -> None:
        self._forget_import(one, batch)
        if not one.imports:
            self.calls.get(one.number, {}).pop(one.id, None)
            if not self.calls.get(one.number, True):
                del self.calls[one.number]
                self.calls_end.pop(one.number, None)

    def members(self, lot: Lot) -> Iterator[Told]:
        """Who still is in the batch, in its order."""
        yield from (self.messages[one] for one in lot.members if self._is_in(one, lot))

    def _is_in(self, one: MessageId, lot: Lot) -> bool:
        return one in self.messages and self.messages[one].batch == lot.id

    def called(self, number: Number) -> list[Told]:
        """The number's imported messages, oldest import first."""
        index = self.calls.get(number, {})
        return [
            self.messages[one]
            for one in sorted(index, key=lambda one: (index[one], one))
            if one in self.messages
        ]

    def queued(self, campaign: str) -> list[Told]:
        """The campaign's queue."""
        return [
            one
            for one in self.messages.values()
            if one.state is State.QUEUED and one.campaign.name == campaign
        ]

    def waiting(self) -> bool:
        """Whether anything is queued."""
        return any(one.state is State.QUEUED for one in self.messages.values())

    # Moves of the API ----------------------------------------------------------------------------------------------

    def accept(
        self, new: Told, *, key: str | None, body: bytes, supersede: bool
    ) -> tuple[str, MessageId | None]:
        """Takes it in, unless its key was used, or a limit or the queue's bound is reached: then nothing changes."""
        known = None if key is None else self.keys.get((new.client.name, key))
        if known is not None:
            first, first_body, _ = known
            same = first_body == body and first in self.messages
            return ("replayed", first) if same else ("conflict", None)
        word = self.campaigns.refusal(new.client, new.campaign, new.number[1], self.now_ms)
        if word is None and new.campaign.name in self.campaigns.draining:
            word = "draining"
        if word is None and len(self.queued(new.campaign.name)) >= new.campaign.max_queued:
            word = "full"
        if word is not None:
            return word, None
        self.campaigns.accepted(new.client, new.campaign, new.number[1], self.now_ms)
        if supersede:
            for one in self.queued(new.campaign.name):
                if (one.client, one.number[1]) == (new.client, new.number[1]) and not one.may_have_rung:
                    self.finish(one, State.CANCELLED, "superseded")
        self.messages[new.id] = new
        if key is not None:
            self.keys[new.client.name, key] = (new.id, body, self.now_ms + IDEMPOTENCY_LIFE_MS)
        return "accepted", new.id

    def cancel(self, message_id: MessageId, client: str) -> str:
        """Only its own client's, only while it is queued, and never once a phone may have rung."""
        one = self.messages.get(message_id)
        if one is None or one.client.name != client:
            return "unknown"
        if one.state is State.CANCELLED:
            return "cancelled"
        if one.state is not State.QUEUED or one.may_have_rung:
            return "too late"
        self.finish(one, State.CANCELLED, "requested")
        return "cancelled"

    # Moves of the worker that carries a batch ----------------------------------------------------------------------

    def eligible(self, campaign: CampaignConfig) -> list[Told]:
        """Who may go now: due, not expired, and nobody else of the account holds the number."""
        return [
            one
            for one in self.queued(campaign.name)
            if one.due_ms <= self.now_ms < one.expires_ms and one.number not in self.claims
        ]

    def leased(
        self, batch: BatchId, campaign: CampaignConfig, picked: Sequence[MessageId], source: str, worker: str
    ) -> None:
        """A batch was given: it is full or has all there is, each client's oldest, no number twice."""
        may, chosen = self.eligible(campaign), [self.messages[one] for one in picked]
        size = self.campaigns.room(campaign, self.now_ms, self.claimed(campaign.name))
        numbers = {one.number for one in chosen}
        assert all(one in may for one in chosen)
        assert len(numbers) == len(chosen) == min(size, len({one.number for one in may})) > 0
        for one in chosen:
            older = [two for two in may if two.client == one.client and two.due_ms < one.due_ms]
            assert all(two.number in numbers for two in older)
        for one in chosen:
            self.move(one, State.SUBMITTING)
            one.batch = batch
            self.claims[one.number] = one.id
        probe = self.campaigns.held(campaign, self.now_ms)[0] is not None
        self.campaigns.leased(campaign, self.now_ms)
        until_ms = self.now_ms + LEASE_MS
        self.lots[batch] = Lot(batch, campaign, source, list(picked), until_ms, worker, probe)

    def claimed(self, campaign: str) -> int:
        """Calls that are leased, and count as soon as their import is marked."""
        return sum(
            len(lot.members)
            for lot in self.lots.values()
            if lot.state == "leased" and lot.campaign.name == campaign
        )

    def under_way(self, campaign: str) -> int:
        """Imports of the campaign that have a lease, of workers that are alive."""
        living = [one for one in self.lots.values() if one.state != "ambiguous" and one.worker in self.alive]
        return sum(one.campaign.name == campaign for one in living)

    def renew(self, batch: BatchId) -> bool:
        """A batch that waits to be marked keeps its lease; one that ran out is never revived."""
        lot = self.lots.get(batch)
        if lot is None or lot.state != "leased" or lot.lease_until_ms <= self.now_ms:
            return False
        lot.lease_until_ms = self.now_ms + LEASE_MS
        return True

    def mark_sending(self, batch: BatchId, lease_ms: int) -> tuple[int, frozenset[MessageId]] | None:
        """Before the import leaves: who goes. Who is about to expire stays behind, and expires in the queue."""
        lot = self.lots.get(batch)
        if lot is None or lot.state != "leased" or lot.lease_until_ms <= self.now_ms:
            return None
        for one in list(self.members(lot)):
            if one.expires_ms <= self.now_ms + EXPIRY_MARGIN_MS:
                self.requeue(one, self.now_ms)
                continue
            one.imports.append(Import(batch, self.now_ms))
            one.source = lot.source
            self.calls.setdefault(one.number, {})[one.id] = self.now_ms
            self.calls_end.pop(one.number, None)
        lot.members = [one.id for one in self.members(lot)]
        lot.state, lot.sent_ms, lot.lease_until_ms = "sending", self.now_ms, self.now_ms + lease_ms
        if lot.members:
            lot.minute = self.campaigns.count(lot.campaign.name, len(lot.members), self.now_ms, lease_ms)
        else:
            del self.lots[batch]
        return self.now_ms, frozenset(lot.members)

    def settle(
        self,
        batch: BatchId,
        others: str,
        argument: str,
        *,
        taken: Mapping[MessageId, str],
        hold: str,
        probe_after_ms: int,
        lone: bool,
    ) -> Tally | None:
        """Each member's fate. What was never marked as sent can only be queued again."""
        lot = self.lots.get(batch)
        if (
            lot is None
            or lot.state == "ambiguous"
            or (lot.state == "leased" and (others != "requeue" or taken))
        ):
            return None
        fates = [self._fate(one, lot, others, argument, taken) for one in list(self.members(lot))]
        tally = Tally(*(fates.count(each) for each in ("taken", "rejected", "requeued", "ambiguous")))
        if others == "requeue":
            self.campaigns.uncount(lot.campaign.name, lot.minute, tally.requeued)
        if tally.ambiguous:
            lot.state, lot.partial = "ambiguous", tally.taken > 0
        else:
            del self.lots[batch]
        self.campaigns.heard(lot.campaign.name, hold, self.now_ms + probe_after_ms, probe=lot.probe)
        if lone:
            self.campaigns.refused_alone(lot.campaign.name, self.now_ms, probe_after_ms, LONE_REJECTIONS)
        return tally

    def _fate(self, one: Told, lot: Lot, others: str, argument: str, taken: Mapping[MessageId, str]) -> str:
        if one.id in taken:
            self.name_call(one, lot.id, taken[one.id])
            self.submit(one, lot.sent_ms, lot.source)
            if taken[one.id]:
                self.release(one)
            return "taken"
        if others == "ambiguous":
            one.may_have_rung = True
            return "ambiguous"
        earlier = [two for two in self.called(one.number) if two is not one and two.state is State.SUBMITTED]
        self._never_called(one, lot.id)
        if others == "missing" and earlier:
            # The provider skips a number whose call is unfinished: it is asked again when that call has ended.
            self.requeue(one, one.due_ms)
            self.claims[one.number] = earlier[0].id
        elif others == "requeue":
            self.requeue(one, self.now_ms + int(argument) if int(argument) else one.due_ms)
        else:
            self.finish_uncalled(one, State.REJECTED, "not_accepted" if others == "missing" else argument)
            return "rejected"
        return "requeued"

    def name_call(self, one: Told, batch: BatchId, call_id: str) -> None:
        """The import in that batch became this call."""
        for each in one.imports:
            if each.batch == batch:
                each.call_id = call_id

    def split(self, batch: BatchId, halves: tuple[BatchId, BatchId], smaller: bool) -> bool:
        """A batch refused as a whole, as two that were not sent yet."""
        lot = self.lots.get(batch)
        if lot is None or lot.state != "sending":
            return False
        self.campaigns.uncount(lot.campaign.name, lot.minute, len(lot.members))
        cut = len(lot.members) // 2
        for half, ids in zip(halves, (lot.members[:cut], lot.members[cut:]), strict=True):
            self.lots[half] = Lot(half, lot.campaign, lot.source, ids, self.now_ms + LEASE_MS, lot.worker)
            for one in ids:
                self._forget_import(self.messages[one], batch)
                self.messages[one].batch = half
        del self.lots[batch]
        if smaller:
            self.campaigns.smaller[lot.campaign.name] = (max(cut, 1), self.now_ms + SMALLER_FOR_MS)
        return True

    # Moves of the sweep --------------------------------------------------------------------------------------------

    def given_up(self) -> list[Lot]:
        """Batches under way whose lease ran out, and those that a dead worker leased and did not mark as sent."""
        return [
            lot
            for lot in self.lots.values()
            if lot.state != "ambiguous"
            and (
                lot.lease_until_ms <= self.now_ms or (lot.state == "leased" and lot.worker not in self.alive)
            )
        ]

    def recover(self) -> set[tuple[BatchId, str, str, int]]:
        """Leases of who is gone: what was only leased was never sent; what was being sent may have been taken."""
        answer = set()
        for lot in self.given_up():
            members = list(self.members(lot))
            if lot.state == "leased":
                for one in members:
                    self.requeue(one, one.due_ms)
                del self.lots[lot.id]
                fate = "requeued"
            else:
                for one in members:
                    one.may_have_rung = True
                lot.state, fate = "ambiguous", "ambiguous"
            answer.add((lot.id, lot.campaign.name, fate, len(members)))
        return answer

    def expire(self, campaign: CampaignConfig) -> tuple[int, str]:
        """Ends who waited too long, and says why it waited."""
        reason = self.campaigns.why_it_waits(campaign, self.now_ms)
        late = [one for one in self.queued(campaign.name) if one.expires_ms <= self.now_ms]
        for one in late:
            self.finish_uncalled(one, State.EXPIRED, reason)
        return len(late), reason
