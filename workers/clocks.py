"""The three clocks that a collector lives by: its own, Redis', and the provider's; and how far each is from another."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.provider.client import ProviderClient

LEARNED_MARGIN_MS = 3_000
BLIND_MARGIN_MS = 300_000
"""How far the provider's clock may be off, as long as no answer has told."""


class Clocks:
    """As seen from one account's client. Times in ms."""

    def __init__(self, client: ProviderClient) -> None:
        self._client = client
        self._redis_ahead_ms = 0

    def learn(self, redis_now_ms: int) -> None:
        """What Redis just said."""
        self._redis_ahead_ms = redis_now_ms - ms(time.time())

    @property
    def is_blind(self) -> bool:
        """No answer has told the provider's clock yet: it is taken for Redis'."""
        return self._client.clock_offset_ms is None

    @property
    def ahead_ms(self) -> int:
        """The provider's clock less Redis'."""
        offset_ms = self._client.clock_offset_ms
        return 0 if offset_ms is None else offset_ms - self._redis_ahead_ms

    @property
    def margin_ms(self) -> int:
        """How far that may be wrong."""
        return BLIND_MARGIN_MS if self.is_blind else LEARNED_MARGIN_MS

    def redis_now_ms(self) -> int:
        """By Redis' clock, as far as it is known."""
        return ms(time.time()) + self._redis_ahead_ms


def ms(seconds: float) -> int:
    """In whole ms."""
    return round(seconds * 1000)
