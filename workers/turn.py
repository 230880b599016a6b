"""Whose turn it is to collect for a source: a short lease, renewed in the background for as long as its worker lives.

A worker that is killed is replaced within seconds, and one that waits for a slow export keeps its turn. One that was
stopped and goes on finds by its own clock that the turn is over, and the scripts that end messages check whose it is.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from app.store.faults import StoreError

if TYPE_CHECKING:
    from app.store.outcomes import Outcomes

LEASE_S = 3.5
_RENEW_EVERY_S = 1.0


class NotMyTurnError(Exception):
    """Another worker may be collecting: what is left of the sweep is left to it."""


class Turn:
    """One worker's part in one source."""

    def __init__(self, source: str, worker: str, outcomes: Outcomes) -> None:
        self._source = source
        self.owner = worker
        """Whom the scripts are told of."""
        self._outcomes = outcomes
        self._until = 0.0
        self._renewing: asyncio.Task[None] | None = None

    def is_mine(self) -> bool:
        """Whether the lease still stands, by a clock that runs on while the process is stopped."""
        return time.monotonic() < self._until

    def check(self) -> None:
        """Raises NotMyTurnError if it is not."""
        if not self.is_mine():
            raise NotMyTurnError

    async def take(self) -> bool:
        """Begins a turn, if it is nobody else's."""
        await self._stop_renewing()
        if not await self._renewed():
            return False
        self._renewing = asyncio.create_task(self._renew(), name=f"turn {self._source}")
        return True

    async def end(self) -> None:
        """Lets another worker collect at once."""
        await self._stop_renewing()
        if self._until > 0:
            self._until = 0.0
            await self._outcomes.release_collector(self._source, self.owner)

    async def _renew(self) -> None:
        while self.is_mine():
            await asyncio.sleep(_RENEW_EVERY_S)
            try:
                if not self.is_mine() or not await self._renewed():
                    break
            except StoreError:
                continue  # it may be back before the lease is over

    async def _renewed(self) -> bool:
        asked = time.monotonic()
        held = await self._outcomes.hold_collector(self._source, self.owner, round(LEASE_S * 1000))
        self._until = asked + LEASE_S if held else 0.0
        return held

    async def _stop_renewing(self) -> None:
        if self._renewing is not None:
            while not self._renewing.done():  # redis-py may take the cancellation for a time-out of its own
                self._renewing.cancel()
                await asyncio.wait([self._renewing], timeout=0.1)
            self._renewing = None
