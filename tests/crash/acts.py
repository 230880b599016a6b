"""What befalls the workers of a scene: one dies at a point, or is stopped there until others have done its work."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.crash.point import Crash, Effects, Point, recorded
from tests.crash.processes import Child
from tests.crash.scene import PATIENCE_S, Scene

_LOOK_EVERY_S = 0.1
_IDLE_S = 1.5
"""How long a worker that has nothing left to do is given to come to its point."""


@dataclass(frozen=True)
class Played:
    """How a scene went. `settled_s`: from the last crash until all was settled."""

    reached: bool
    violations: list[str]
    settled_s: float = 0.0


async def die(scene: Scene, crash: Crash) -> Played:
    """The story with a worker that dies, and perhaps a second; the last stays."""
    await scene.tell()
    first = await scene.start(crash.at)
    await _wait(first.ended, 1.0)
    await scene.tell_more()
    if not await _dies(scene, first):
        return Played(False, [])
    if crash.then is not None and not await _dies(scene, await scene.start(crash.then)):
        return Played(False, [])
    died = time.monotonic()
    last = await scene.start()
    found = await _settled(scene)
    took_s = time.monotonic() - died
    await last.kill()
    return Played(True, found, took_s)


async def stop(scene: Scene, crash: Crash, tries: tuple[str, str]) -> Played:
    """The story with a worker that is stopped at the point, and goes on when another has done everything.

    `tries`: the effect, and the answer to it, by which the one that wakes up learns that it is too late.
    """
    await scene.tell()
    first = await scene.start(crash.at, effects=True, signal=signal.SIGSTOP)
    await _wait(first.stopped, 1.0)
    await scene.tell_more()
    while not first.stopped.is_set() and not await scene.all_over():
        await _wait(first.stopped, _LOOK_EVERY_S)
    if not first.stopped.is_set():
        await first.kill()
        return Played(False, [])
    await scene.note_in_flight()
    last = await scene.start()
    found = await _settled(scene)
    before = await scene.all_that_counts()
    first.send(signal.SIGCONT)
    file = scene.folder / "effects-1"
    if not await _comes_to(file, tries):
        found.append(f"woke up and never came to {tries}")
    await asyncio.sleep(_LOOK_EVERY_S)
    after = await scene.all_that_counts()
    found += [
        f"{name} was changed by the worker that woke up" for name in before if before[name] != after[name]
    ]
    await first.kill()
    await last.kill()
    return Played(True, found + await scene.violations())


async def live(scene: Scene, after: Point | None = None) -> Effects:
    """The story with a worker that is left alone, and what it does; `after`: it comes after one that died there."""
    await scene.tell()
    if after is not None:
        assert await _dies(scene, await scene.start(after)), f"not reached: {after}"
    worker = await scene.start(effects=True)
    await asyncio.sleep(1.0)
    await scene.tell_more()
    found = await _settled(scene)
    assert found == [], found
    await worker.kill()
    return recorded(scene.folder / f"effects-{1 if after is None else 2}")


async def _dies(scene: Scene, worker: Child) -> bool:
    """Waits for the worker's death; False if it has nothing left to do and still lives."""
    while not worker.ended.is_set() and not await scene.all_over():
        await _wait(worker.ended, _LOOK_EVERY_S)
    await _wait(worker.ended, _IDLE_S)
    if not worker.ended.is_set():
        await worker.kill()
        return False
    await scene.note_in_flight()
    return True


async def _settled(scene: Scene) -> list[str]:
    late = [] if await scene.settled() else [f"not settled within {PATIENCE_S:.0f} s"]
    return late + await scene.violations()


async def _comes_to(file: Path, effect: tuple[str, str]) -> bool:
    give_up = time.monotonic() + 15
    while time.monotonic() < give_up:
        rows = [(name, answer) for side, name, answer in recorded(file) if side == "after"]
        if any(name.startswith(effect[0]) and answer == effect[1] for name, answer in rows):
            return True
        await asyncio.sleep(_LOOK_EVERY_S)
    return False


async def _wait(event: asyncio.Event, most_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), most_s)
