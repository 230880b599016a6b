"""What an answer says of rate limits: `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers.

As of its revision 10: `q` at once and in `w` seconds, `r` left, one more after `t` seconds. The draft knows whole
seconds alone: a shorter period is told as one second, so that whoever keeps to what is told is never refused.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from app.api.problems import RATE_LIMITED, Problem

if TYPE_CHECKING:
    from app.config import Rate
    from app.store.messages import Limited

_DETAIL = {
    "client": "The client's rate limit is used up. Ask again after the seconds of Retry-After.",
    "number": "The rate limit of this phone number is used up. Ask again after the seconds of Retry-After.",
}


def whole_seconds(ms: float) -> int:
    """Rounded up, and never 0: whoever comes at the time told must not come too early."""
    return max(1, math.ceil(ms / 1000))


def accepted_headers(limit: Rate, remaining: int, more_in_ms: int) -> dict[str, str]:
    """Of the client's limit, after one was taken. The number's is not told: it counts other clients' messages too."""
    return _headers("client", limit.burst, limit.period.total_seconds() * 1000, remaining, more_in_ms)


def limited_problem(limited: Limited) -> Problem:
    """A 429 that says which limit, and when there is room again."""
    wait_ms = limited.retry_after_ms
    headers = _headers(limited.scope, limited.burst, limited.period_ms, 0, wait_ms)
    return Problem(
        RATE_LIMITED,
        _DETAIL[limited.scope],
        headers={"retry-after": str(whole_seconds(wait_ms)), **headers},
    )


def _headers(policy: str, burst: int, period_ms: float, remaining: int, more_in_ms: int) -> dict[str, str]:
    return {
        "ratelimit-policy": f'"{policy}";q={burst};w={whole_seconds(period_ms)}',
        "ratelimit": f'"{policy}";r={remaining};t={whole_seconds(more_in_ms)}',
    }
