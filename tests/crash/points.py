"""The crash points of a process, found by letting it tell its effects: none is listed by hand."""

from __future__ import annotations

from collections import Counter

from tests.crash.point import Effects, Point, Side

_LOOKING = frozenset(
    {
        "CLIENT", "CONFIG", "DBSIZE", "EXISTS", "GET", "HGET", "HGETALL", "HMGET", "INFO", "PING", "TIME", "WATCH",
        "ZCARD", "ZRANGE", "ZRANGEBYSCORE", "ZSCORE",
    }
)  # fmt: skip
"""Commands that change nothing: a crash beside one is a crash after the change before it."""
_REPEATS = 3


def every_point(effects: Effects) -> list[Point]:
    """Before each effect and after each answer of it; of those that repeat alike, the first three."""
    seen: Counter[tuple[str, Side, str]] = Counter()
    points: list[Point] = []
    for side, name, answer in effects:
        seen[name, side, answer] += 1
        if seen[name, side, answer] <= _REPEATS:
            points.append(Point(name, side, seen[name, side, answer], answer))
    return points


def one_of_each_class(effects: Effects) -> list[Point]:
    """After each change, once for each of its answers; and before each request to another party.

    Before a change of Redis the world is as it was after the change before it, so that is not told twice.
    """
    return [
        point
        for point in every_point(effects)
        if point.nth == 1 and changes(point.name) and (point.side == "after" or point.name.startswith("http"))
    ]


def only_in(later: Effects, earlier: Effects) -> list[Point]:
    """A point of each class that the later process met and the earlier did not: what recovery alone does."""
    known = {(name, answer) for _, name, answer in earlier}
    return [point for point in one_of_each_class(later) if (point.name, point.answer) not in known]


def changes(name: str) -> bool:
    """Whether the effect may change something: anything that is not known only to look."""
    language, _, said = name.partition(" ")
    if language == "http":
        return True
    return any(command.partition(" ")[0] not in _LOOKING for command in said.split("+"))
