"""Windows of time: from, and up to but without, in ms, at whole seconds. Pure."""

from __future__ import annotations

from collections.abc import Iterable

Window = tuple[int, int]


def second(at_ms: int) -> int:
    """When that second began."""
    return at_ms // 1000 * 1000


def merged(windows: Iterable[Window]) -> list[Window]:
    """The same time, rising, in windows that do not meet."""
    found: list[Window] = []
    for from_ms, to_ms in sorted(windows):
        if found and from_ms <= found[-1][1]:
            found[-1] = (found[-1][0], max(to_ms, found[-1][1]))
        else:
            found.append((from_ms, to_ms))
    return found


def within(windows: Iterable[Window], bounds: Window) -> list[Window]:
    """What of them lies inside the bounds, merged."""
    from_ms, to_ms = bounds
    return merged((max(a, from_ms), min(b, to_ms)) for a, b in windows if a < to_ms and b > from_ms)


def fewer(windows: list[Window], most: int) -> list[Window]:
    """At most so many, with the shortest gaps between them filled."""
    if len(windows) <= most:
        return windows
    gaps = sorted(range(1, len(windows)), key=lambda n: windows[n][0] - windows[n - 1][1])
    filled = set(gaps[: len(windows) - most])
    found: list[Window] = []
    for n, (from_ms, to_ms) in enumerate(windows):
        if n in filled:
            found[-1] = (found[-1][0], to_ms)
        else:
            found.append((from_ms, to_ms))
    return found
