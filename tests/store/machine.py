"""The machine: which move comes next, drawn by hypothesis, and the comparison after each.

One rule that draws which part of the relay acts: hypothesis leaves out some rules of each run, and a relay of which a
part never acts gets nowhere. The moves are in `moves.py`.
"""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.config import OnAmbiguous
from tests.store.moves import CAMPAIGNS, CLIENTS, NUMBERS, OLD, Moves

STEPS_MS = (1_003, 5_009, 16_007, 31_017)
JUMPS_MS = (301_029, 3_700_001, -2_017, -300_013)
PARTS = ["accept"] * 3 + ["lease", "carry", "time_passes", "collect", "push"] * 2 + ["rarely"]

campaigns = st.sampled_from(("codes", *CAMPAIGNS))
workers = st.sampled_from(("w1", "w2"))
clients = st.sampled_from(tuple(CLIENTS))
numbers = st.sampled_from(NUMBERS)
picks = st.integers(0, OLD + 1)


_DRAWN: dict[str, dict[str, st.SearchStrategy[object]]] = {
    "accept": dict(
        campaign=campaigns,
        number=numbers,
        client=clients,
        key=st.sampled_from((None, None, None, None, "k1", "k2")),
        body=st.sampled_from((b"1", b"1", b"2")),
        ttl_ms=st.sampled_from((None, None, 5_000)),
        called_back=st.sampled_from((True, True, True, False)),
    ),
    "lease": dict(
        pick=picks,
        worker=workers,
        marking=st.sampled_from((True, True, True, False)),
    ),
    "carry": dict(
        does=st.sampled_from(("settle", "settle", "settle", "settle", "settle", "split", "mark", "renew")),
        pick=picks,
        others=st.sampled_from(("missing", "missing", "requeue", "rejected", "ambiguous", "ambiguous")),
        takes=st.sampled_from(("none", "first", "all")),
        named=st.booleans(),
        hold=st.sampled_from(("", "", "release", "release", "campaign_stopped")),
        lone=st.sampled_from((False, False, True)),
    ),
    "time_passes": dict(
        step_ms=st.sampled_from(STEPS_MS * 3 + JUMPS_MS),
        sweeping=st.booleans(),
    ),
    "collect": dict(
        does=st.sampled_from(("row", "row", "row", "reconcile", "reconcile", "time out")),
        pick=picks,
        call=st.sampled_from(("known", "known", "new", "none")),
        state=st.sampled_from((10, 40, 40, 50, 50)),
        ago_ms=st.sampled_from((None, 0, 0, 60_000)),
        long=st.booleans(),
        redial_ms=st.sampled_from((0, 60_000)),
        policy=st.sampled_from(("retry", "retry", "give_up")),
    ),
    "push": dict(
        does=st.sampled_from(("claim", "claim", "settle", "settle", "settle", "settle", "replay")),
        pick=picks,
        verdict=st.sampled_from(("delivered", "retry", "retry", "dead", "gone")),
        by=st.sampled_from((*CLIENTS, *CLIENTS, "an operator")),
    ),
    "rarely": dict(
        does=st.sampled_from(
            ("cancel", "cancel", "retention", "run", "run", "run", "pause", "drain", "refuse", "miss", "beat")
        ),
        pick=picks,
        by=st.sampled_from((*CLIENTS, "its own")),
        campaign=campaigns,
        worker=workers,
        why=st.sampled_from(("one reason", "another")),
    ),
}
"""What each part may do."""


def _part(name: str) -> st.SearchStrategy[tuple[str, dict[str, object]]]:
    return st.tuples(st.just(name), st.fixed_dictionaries(_DRAWN[name]))


class AnyOrder(RuleBasedStateMachine):
    """A relay whose every part may act, die, or come late at any time."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.moves = Moves(self.url)

    def teardown(self) -> None:
        """The connection is closed."""
        self.moves.close()

    @initialize(first=st.lists(st.tuples(campaigns, numbers, clients), min_size=3, max_size=8, unique=True))
    def messages_wait(self, first: list[tuple[str, str, str]]) -> None:
        """Something to begin with."""
        for campaign, number, client in first:
            self.moves.accept(campaign, number, client)

    @rule(part=st.sampled_from(PARTS).flatmap(_part))
    def next(self, part: tuple[str, dict[str, object]]) -> None:
        """One part acts."""
        name, drawn = part
        getattr(self, name)(**drawn)

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
        self.moves.accept(
            campaign, number, client, key=key, body=body, ttl_ms=ttl_ms, called_back=called_back
        )

    def lease(self, pick: int, worker: str, marking: bool) -> None:
        """A worker asks for a batch, and as a rule goes on to mark it."""
        self.moves.lease(pick, worker, marking=marking)

    def carry(
        self, does: str, pick: int, others: str, takes: str, named: bool, hold: str, lone: bool
    ) -> None:
        """The next step of a batch, or another one."""
        if not self.moves.model.lots:
            self.moves.lease(pick, "w1", marking=True)
        elif does == "mark":
            self.moves.mark(pick)
        elif does == "renew" and self.moves.batches:
            self.moves.renew(pick)
        elif does == "split":
            self.moves.split(pick, smaller=lone)
        else:
            self.moves.settle(pick, others, takes, named=named, hold=hold, lone=lone)

    def time_passes(self, step_ms: int, sweeping: bool) -> None:
        """Or the clock is set back; and perhaps the sweep goes round.

        It does before the clock goes back, as it does each second: what a lease found past its end has ended by then.
        """
        if step_ms < 0:
            self.moves.expire()
            self.moves.compare()
        self.moves.time_passes(step_ms)
        if sweeping:
            self.moves.compare()
            self.moves.recover()
            self.moves.compare()
            self.moves.expire()

    def collect(
        self,
        does: str,
        pick: int,
        call: str,
        state: int,
        ago_ms: int | None,
        long: bool,
        redial_ms: int,
        policy: OnAmbiguous,
    ) -> None:
        """A row of an export, or an export without one."""
        if does == "reconcile":
            self.moves.reconcile(pick, policy)
        elif does == "time out":
            self.moves.time_out(pick, 600_000 if long else 60_000, asked_ago_ms=ago_ms or 0)
        else:
            tolerance_ms = 300_000 if long else 3_000
            self.moves.row(pick, call, state, ago_ms=ago_ms, tolerance_ms=tolerance_ms, redial_ms=redial_ms)

    def push(self, does: str, pick: int, verdict: str, by: str) -> None:
        """A step of a delivery."""
        if does == "claim":
            self.moves.claim_events()
        elif does == "settle":
            self.moves.settle_event(pick, verdict)
        else:
            self.moves.replay_event(pick, by)

    def rarely(self, does: str, pick: int, by: str, campaign: str, worker: str, why: str) -> None:
        """A caller changes its mind, an operator acts, a worker falls silent or is heard again, or days pass."""
        if does == "cancel":
            self.moves.cancel(pick, by)
        elif does == "retention":
            self.moves.retention_passes()
        elif does == "miss":
            self.moves.miss(worker)
        elif does == "beat":
            self.moves.beat(worker)
        else:
            self.moves.operate(campaign, does, why)

    @invariant()
    def redis_is_as_the_model_says_and_tidy(self) -> None:
        """After every step."""
        self.moves.compare()
