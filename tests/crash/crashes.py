"""Plays the story once for each crash point, several at a time, each on a stage of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.crash.acts import Played, die, live
from tests.crash.point import Crash, Effects, Point
from tests.crash.points import every_point, one_of_each_class, only_in
from tests.crash.processes import Nursery, nursery
from tests.crash.scene import LEASES_MS, Scene
from tests.crash.stage import Stage, stage

LEASED = Point("redis lease", "after", answer="batch")
MARKED = Point("redis mark_sending", "after", answer="sending")
"""The two states of a batch in which its worker's death leaves it to others."""

Act = Callable[[Scene, Crash], Awaitable[Played]]
_TRIES = 3


@dataclass(frozen=True)
class Result:
    """What came of a crash."""

    crash: Crash
    played: Played

    def __str__(self) -> str:
        if not self.played.reached:
            return f"not reached: {self.crash}"
        wrong = "".join(f"\n    {one}" for one in self.played.violations)
        return f"{self.played.settled_s:5.1f} s  {self.crash}{wrong}"


class Crashes:
    """Some stages, and a nursery for all their processes."""

    def __init__(self, hatch: Nursery, stages: Sequence[Stage], folder: Path) -> None:
        self._nursery = hatch
        self.stages = stages
        self._folder = folder
        self._scenes = 0

    def _new_folder(self) -> Path:
        self._scenes += 1
        folder = self._folder / f"scene-{self._scenes}"
        folder.mkdir()
        return folder

    @asynccontextmanager
    async def scene(self, number: int = 0, more: Mapping[str, str] | None = None) -> AsyncIterator[Scene]:
        """A scene on that stage; `more`: lines to add to the configuration, by section."""
        async with self.stages[number].scene(self._nursery, self._new_folder(), more) as scene:
            yield scene

    async def effects(self, number: int = 0, after: Point | None = None) -> Effects:
        """What a worker does that is left alone, on that stage; `after`: when another died there before it."""
        async with self.scene(number) as scene:
            return await live(scene, after)

    async def plan(self, *, every: bool) -> tuple[Effects, list[Crash]]:
        """What a worker does, and its crashes: at each point or at one of each class, and while it takes up others'."""
        met, *later = await asyncio.gather(
            self.effects(0),
            self.effects(1 % len(self.stages), LEASED),
            self.effects(2 % len(self.stages), MARKED),
        )
        found = [Crash(point) for point in (every_point if every else one_of_each_class)(met)]
        for first, effects in zip((LEASED, MARKED), later, strict=True):
            found += [Crash(first, point) for point in only_in(effects, met)]
        return met, found

    async def play_all(self, planned: Sequence[Crash], act: Act = die) -> AsyncIterator[Result]:
        """The act with each of the crashes, in the order in which they end."""
        waiting = list(reversed(planned))
        results: asyncio.Queue[Result] = asyncio.Queue(len(planned))

        async def lane(number: int) -> None:
            while waiting:
                await results.put(await self.play_at(number, waiting.pop(), act))

        async with asyncio.TaskGroup() as lanes:
            for number in range(len(self.stages)):
                lanes.create_task(lane(number))
            for _ in planned:
                yield await results.get()

    async def play_at(self, number: int, crash: Crash, act: Act = die) -> Result:
        """The act on that stage; again, up to three times, if its point was not reached."""
        played = Played(False, [])
        for _ in range(_TRIES):
            async with self.scene(number) as scene:
                played = await act(scene, crash)
            if played.reached:
                break
        return Result(crash, played)


@asynccontextmanager
async def crashes(folder: Path, *, at_once: int, leases_ms: int | None = LEASES_MS) -> AsyncIterator[Crashes]:
    """Stages for so many scenes at once; logs and effects are kept in the folder. `leases_ms` None: as they are."""
    async with AsyncExitStack() as stack:
        stages = [await stack.enter_async_context(stage()) for _ in range(at_once)]
        hatch = await stack.enter_async_context(nursery(leases_ms))
        yield Crashes(hatch, stages, folder)
