"""Campaigns, the calls in each, and when a line is free for them. Knows nothing of HTTP, tokens or faults."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from app.sandbox.calls import Call, Row, line_free_at_ms, queue_time_ms, rows
from app.sandbox.settings import CampaignKind, CampaignSeed

MAX_CALLS = 400_000
"""Calls a campaign remembers; past it the older half is forgotten."""

FIRST_CALL_ID = 1001


class Campaign:
    """A campaign made beforehand, and all its calls in the order they were placed."""

    def __init__(self, seed: CampaignSeed) -> None:
        self.campaign_id = seed.campaign_id
        self.name = seed.name
        self.kind: CampaignKind = seed.kind
        self.running = True
        self.next_call_id = FIRST_CALL_ID
        self.clear()

    def clear(self) -> None:
        """Forget every call, but not which call_ids were given out."""
        self.calls: list[Call] = []
        self.phantoms = 0
        self._by_id: dict[int, Call] = {}
        self._last_of_number: dict[str, Call] = {}
        self._lines_free_ms: list[int] = []
        self._longest_wait_ms = 0

    def add(self, call: Call) -> None:
        """Remember a call that was placed, or read back."""
        if len(self.calls) >= MAX_CALLS:
            self._forget(MAX_CALLS // 2)
        self.calls.append(call)
        self._by_id[call.call_id] = call
        if call.redial_id is not None:
            self._by_id[call.redial_id] = call
        if not call.foreign:
            self._last_of_number[call.number] = call
        self._note_wait(call)

    def call(self, call_id: int) -> Call | None:
        """The call that has this call_id, its own or its redial's."""
        return self._by_id.get(call_id)

    def schedule(self, call: Call, now_ms: int, lines: int | None) -> None:
        """Give the call its start: at once after its queue time, or when one of `lines` lines is free."""
        ready_ms = now_ms + queue_time_ms(call)
        call.starts_at_ms = ready_ms
        if lines is not None:
            while len(self._lines_free_ms) > lines:
                heapq.heappop(self._lines_free_ms)
            if len(self._lines_free_ms) == lines:
                call.starts_at_ms = max(ready_ms, heapq.heappop(self._lines_free_ms))
            heapq.heappush(self._lines_free_ms, line_free_at_ms(call))
        self._note_wait(call)

    def stop(self, now_ms: int) -> list[Call]:
        """Calls not begun wait from now on; gives those."""
        self.running = False
        self._lines_free_ms.clear()
        waiting = [
            call for call in self.calls if call.starts_at_ms is not None and call.starts_at_ms > now_ms
        ]
        for call in waiting:
            call.starts_at_ms = None
        return waiting

    def start(self, now_ms: int, lines: int | None) -> list[Call]:
        """Calls that waited get their start, in the order they were placed; gives those."""
        self.running = True
        waiting = [call for call in self.calls if call.starts_at_ms is None]
        for call in waiting:
            self.schedule(call, now_ms, lines)
        return waiting

    def restore_start(self, call_id: int, starts_at_ms: int | None) -> None:
        """Set a call's start as the state file has it."""
        call = self.call(call_id)
        if call is not None:
            call.starts_at_ms = starts_at_ms
            self._note_wait(call)

    def is_calling(self, number: str, now_ms: int) -> bool:
        """Whether the number's last imported call is not over yet."""
        call = self._last_of_number.get(number)
        return call is not None and (call.starts_at_ms is None or line_free_at_ms(call) > now_ms)

    def rows_since(self, since_ms: int | None, now_ms: int) -> Iterator[Row]:
        """Rows of all calls that can have one at or after `since_ms` (true time), oldest placed first; some earlier."""
        first = 0
        if since_ms is not None:
            placed_ms = since_ms - self._longest_wait_ms
            first = bisect_left(self.calls, placed_ms, key=lambda call: call.placed_at_ms)
        for index in range(first, len(self.calls)):
            yield from rows(self.calls[index], now_ms)

    def _note_wait(self, call: Call) -> None:
        if call.starts_at_ms is not None:
            self._longest_wait_ms = max(self._longest_wait_ms, line_free_at_ms(call) - call.placed_at_ms)

    def _forget(self, oldest: int) -> None:
        for call in self.calls[:oldest]:
            for call_id in (call.call_id, call.redial_id):
                if call_id is not None:
                    self._by_id.pop(call_id, None)
            if self._last_of_number.get(call.number) is call:
                del self._last_of_number[call.number]
        del self.calls[:oldest]


class Campaigns:
    """All campaigns of the account."""

    def __init__(self, seeds: Iterable[CampaignSeed]) -> None:
        self._campaigns = {seed.campaign_id: Campaign(seed) for seed in seeds}
        self.next_call_id = FIRST_CALL_ID

    def __iter__(self) -> Iterator[Campaign]:
        return iter(self._campaigns.values())

    def get(self, campaign_id: str) -> Campaign | None:
        return self._campaigns.get(campaign_id)

    def clear(self) -> None:
        for campaign in self:
            campaign.clear()

    def new_call_id(self, campaign: Campaign, *, per_campaign: bool) -> int:
        """The next call_id of the account, or of the campaign alone."""
        counter = campaign if per_campaign else self
        call_id = counter.next_call_id
        counter.next_call_id += 1
        return call_id

    def restore(self, call: Call) -> None:
        """Put a call read from the state file back, unless its campaign is no more."""
        campaign = self.get(call.campaign_id)
        if campaign is None:
            return
        campaign.add(call)
        for counter in (self, campaign):
            counter.next_call_id = max(counter.next_call_id, (call.redial_id or call.call_id) + 1)
