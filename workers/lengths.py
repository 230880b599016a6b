"""How long a source's calls take, learned from the calls of one second now and then, which are looked at often. Pure.

An export tells only whether a call was over when it was asked. So a sample of calls is looked at at ages that rise by
a half from look to look, and a life table (Kaplan and Meier's) is kept of them: how many reached a look, and how
many of these were over by it. Other calls teach nothing: when they are looked at depends on what was learned.
"""

from __future__ import annotations

from bisect import bisect_right

LOOKS_MS = tuple(round(700 * 1.5**n) for n in range(13))
"""The ages at which a sample is looked at: 0.7 s to 91 s."""
_UPTO_MS = tuple(round(look_ms * 1.5**0.5) for look_ms in LOOKS_MS)
"""A look comes a little late; up to there it is that look and not the next."""
_REMEMBERED = 300
"""Ends; then all that was learned counts half."""


class Lengths:
    """One source's life table. Ages in ms."""

    def __init__(self) -> None:
        self._reached = [0.0] * len(LOOKS_MS)
        self._over = [0.0] * len(LOOKS_MS)
        self.known = 0.0
        """Calls whose end is remembered."""

    def rang(self, from_ms: int, to_ms: int) -> None:
        """A call of a sample, last seen at the age `from_ms`, or 0, still rang at `to_ms`."""
        for look in range(bisect_right(LOOKS_MS, from_ms), bisect_right(LOOKS_MS, to_ms)):
            self._reached[look] += 1

    def was_over(self, from_ms: int, to_ms: int) -> None:
        """A call of a sample, last seen at the age `from_ms`, or 0, was over at `to_ms`."""
        first = bisect_right(LOOKS_MS, from_ms)
        last = min(max(bisect_right(_UPTO_MS, to_ms), first), len(LOOKS_MS) - 1)
        for look in range(first, last + 1):
            self._reached[look] += 1
        self._over[last] += 1
        self.known += 1
        if self.known > _REMEMBERED:
            self.known /= 2
            self._reached = [n / 2 for n in self._reached]
            self._over = [n / 2 for n in self._over]

    def age_ms(self, left: float) -> int | None:
        """The age at which this share of the calls still rings; None: none was followed so far."""
        before, share, look_before_ms = 1.0, 1.0, 0
        for look_ms, reached, over in zip(LOOKS_MS, self._reached, self._over, strict=True):
            if reached == 0:
                return None
            share = before * (1 - over / reached)
            if share <= left:
                return look_before_ms + round((look_ms - look_before_ms) * (before - left) / (before - share))
            before, look_before_ms = share, look_ms
        return None
