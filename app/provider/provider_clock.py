"""What answers' headers tell about time: the provider's clock against ours, and how long it asks us to wait.

Owns the last few readings of one account's `Date` headers. Knows nothing of requests.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from statistics import median_low

_READINGS = 9
_HALF_A_SECOND_MS = 500
_LONGEST_WAIT_S = 24 * 3600.0


class ProviderClock:
    """The offset of the provider's clock, as the median of the last readings: one odd answer moves nothing."""

    def __init__(self) -> None:
        self._offsets_ms: deque[int] = deque(maxlen=_READINGS)

    @property
    def offset_ms(self) -> int | None:
        """The provider's clock less ours; None before the first reading."""
        return median_low(self._offsets_ms) if self._offsets_ms else None

    def learn(self, date: str | None, *, sent_s: float, answered_s: float) -> None:
        """Takes the `Date` of an answer that was asked for at `sent_s` and had by `answered_s`, by our clock."""
        at = _http_date(date)
        if at is None:
            return
        # Whole seconds, cut off: the moment it was written is half a second later on average.
        theirs_ms = int(at.timestamp() * 1000) + _HALF_A_SECOND_MS
        self._offsets_ms.append(theirs_ms - int((sent_s + answered_s) * 500))


def wait_asked_for(retry_after: str | None, *, now_s: float) -> float | None:
    """Seconds that a `Retry-After` asks for, in either of its forms, at most a day; None if it says nothing."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_WAIT_S)
    at = _http_date(text)
    return None if at is None else min(max(at.timestamp() - now_s, 0.0), _LONGEST_WAIT_S)


def _http_date(text: str | None) -> datetime | None:
    try:
        at = parsedate_to_datetime(text or "")
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at
    except (ValueError, OverflowError):
        return None
