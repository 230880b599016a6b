"""Reads `RateLimit` and `RateLimit-Policy` as RFC 9651 has it: a list of strings, each with parameters of integers.

Only that much of structured fields is known here, and anything else fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

_STRING = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_PARAMETER = re.compile(r"; *([a-z*][a-z0-9_.*-]*)=(-?[0-9]{1,15})")
_BETWEEN = re.compile(r"[ \t]*,[ \t]*")


def items(field: str) -> dict[str, dict[str, int]]:
    """The parameters of each item of the list, by the string that it is."""
    found: dict[str, dict[str, int]] = {}
    at, rest = 0, field.strip(" ")
    while True:
        item = _STRING.match(rest, at)
        assert item is not None, f"no string at {at} of {field}"
        at, parameters = item.end(), {}
        while (parameter := _PARAMETER.match(rest, at)) is not None:
            parameters[parameter[1]] = int(parameter[2])
            at = parameter.end()
        found[re.sub(r"\\(.)", r"\1", item[1])] = parameters
        if at == len(rest):
            return found
        between = _BETWEEN.match(rest, at)
        assert between is not None, f"no comma at {at} of {field}"
        at = between.end()


@dataclass(frozen=True)
class Told:
    """What an answer says of the one limit that it tells of. Times in seconds."""

    limit: str
    at_once: int
    window_s: int
    left: int
    more_in_s: int
    retry_after_s: int | None


def told(answer: httpx.Response) -> Told:
    """The draft's rules of each field: which parameters there must be, and in which bounds."""
    ((limit, policy),) = items(answer.headers["ratelimit-policy"]).items()
    ((same, now),) = items(answer.headers["ratelimit"]).items()
    assert limit == same
    assert set(policy) == {"q", "w"}
    assert set(now) == {"r", "t"}
    assert policy["q"] >= 0 < policy["w"]
    assert 0 <= now["r"] <= policy["q"]
    assert now["t"] >= 0
    retry_after = answer.headers.get("retry-after")
    if retry_after is not None:
        assert int(retry_after) >= now["t"], "a wait that ends before the draft's own"
    return Told(
        limit, policy["q"], policy["w"], now["r"], now["t"], None if retry_after is None else int(retry_after)
    )
