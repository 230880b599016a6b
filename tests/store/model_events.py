"""The delivery of events, in plain Python: part of the model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.message import MessageId, State
from app.store.events import BREAKER_FAILURES, BREAKER_PAUSE_MS
from tests.store.desk import KEEP_MS

_DAY_MS = 24 * 3_600_000


@dataclass
class Parcel:
    """An event and its delivery."""

    id: str
    message_id: MessageId
    type: State
    client: str
    destination: str | None
    state: str
    next_ms: int
    attempts: int = 0
    fence: str | None = None
    """Of the attempt that is under way, or whose worker went away."""
    leased_until_ms: int | None = None


@dataclass
class Breaker:
    """Failures in a row at a destination; open: one probe at a time."""

    failures: int = 0
    probe_at_ms: int | None = None
    ends_ms: int = 0


class PostOffice:
    """All events."""

    keep_ms = KEEP_MS

    def __init__(self) -> None:
        self.events: dict[str, Parcel] = {}
        self.breakers: dict[str, Breaker] = {}

    def forget(self, now_ms: int) -> None:
        """What ends by itself."""
        self.breakers = {name: each for name, each in self.breakers.items() if each.ends_ms > now_ms}

    def of(self, message_id: MessageId) -> list[Parcel]:
        """The message's events, oldest first."""
        return [one for one in self.events.values() if one.message_id == message_id]

    def emit(
        self,
        message_id: MessageId,
        revision: int,
        kind: State,
        client: str,
        destination: str | None,
        now_ms: int,
    ) -> None:
        """An event of the message's present state."""
        event_id = f"evt_{message_id[4:]}r{revision}"
        assert event_id not in self.events
        state = "none" if destination is None else "pending"
        self.events[event_id] = Parcel(event_id, message_id, kind, client, destination, state, now_ms)

    def pending(self) -> list[Parcel]:
        """What still has to be delivered."""
        return [one for one in self.events.values() if one.state == "pending"]

    def claimed(
        self, picked: Iterable[str], fence: str, slots: int, lease_ms: int, now_ms: int, *, all_due: bool
    ) -> None:
        """Events were given for one attempt each: none that is not due, and `all_due` that there is room for."""
        chosen = [self.events[event] for event in picked]
        for destination in {one.destination for one in self.pending() if one.destination}:
            mine = [one for one in self.pending() if one.destination == destination]
            for one in mine:
                if one.leased_until_ms is not None and one.leased_until_ms <= now_ms:
                    one.leased_until_ms, one.next_ms = None, now_ms
            waiting = [one for one in mine if one.leased_until_ms is None and one.next_ms <= now_ms]
            under_way = sum(one.leased_until_ms is not None for one in mine)
            breaker = self.breakers.get(destination)
            room = slots - under_way
            if breaker is not None and breaker.probe_at_ms is not None:
                room = min(room, 1) if under_way == 0 and breaker.probe_at_ms <= now_ms else 0
            given = [one for one in chosen if one.destination == destination]
            assert all(one in waiting for one in given)
            most = min(max(room, 0), len(waiting))
            assert len(given) == most if all_due else len(given) <= most, (destination, len(given), most)
        for one in chosen:
            one.leased_until_ms, one.fence = now_ms + lease_ms, fence

    def settle(
        self, event_id: str, fence: str, verdict: str, status: int | None, retry_in_ms: int, now_ms: int
    ) -> bool:
        """What became of the attempt with that fence; False: another has it, or it was settled."""
        one = self.events.get(event_id)
        if one is None or one.fence != fence or one.destination is None:
            return False
        one.fence = one.leased_until_ms = None
        one.attempts += 1
        if verdict == "retry" or (verdict == "dead" and status != 410):
            breaker = self.breakers.setdefault(one.destination, Breaker())
            breaker.failures += 1
            breaker.ends_ms = now_ms + _DAY_MS
            if breaker.failures >= BREAKER_FAILURES:
                breaker.probe_at_ms = now_ms + BREAKER_PAUSE_MS
        else:
            self.breakers.pop(one.destination, None)
        if verdict == "retry":
            one.next_ms = now_ms + retry_in_ms
        else:
            one.state = verdict
        return True

    def replay(self, event_id: str, client: str, now_ms: int) -> str:
        """Again, under the same id, with a fresh schedule."""
        one = self.events.get(event_id)
        if one is None or one.client != client:
            return "unknown"
        if one.state == "none":
            return "no callback"
        if one.state != "pending":
            one.state, one.attempts, one.next_ms = "pending", 0, now_ms
        return "queued"
