"""Plays the story once for each crash point, several at a time, each on a stage of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.crash.acts import Played, die
from tests.crash.point import Point, recorded
from tests.crash.points import Effects
from tests.crash.processes import Nursery, nursery
from tests.crash.scene import LEASES_MS, Scene
from tests.crash.stage import Stage, stage

Act = Callable[[Scene, Point], Awaitable[Played]]
_TRIES = 3


@dataclass(frozen=True)
class Result:
    """What came of a crash at a point."""

    point: Point
    played: Played

    def __str__(self) -> str:
        if not self.played.reached:
            return f"not reached: {self.point}"
        wrong = "".join(f"\n    {one}" for one in self.played.violations)
        return f"{self.played.settled_s:5.1f} s  {self.point}{wrong}"


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

    async def effects(self) -> Effects:
        """What a worker does that is left alone. AssertionError if the story does not end as it should."""
        async with self.scene() as scene:
            await scene.tell()
            worker = await scene.start(effects=True)
            await asyncio.sleep(1.0)
            await scene.tell_more()
            assert await scene.settled()
            assert await scene.violations() == []
            await worker.kill()
        return recorded(scene.folder / "effects-1")

    async def play(self, point: Point, act: Act = die) -> Result:
        """The act at the point, on the first stage."""
        return await self.play_at(0, point, act)

    async def play_all(self, points: Sequence[Point], act: Act = die) -> AsyncIterator[Result]:
        """The act at each of the points, in the order in which they end."""
        waiting = list(reversed(points))
        results: asyncio.Queue[Result] = asyncio.Queue(len(points))

        async def lane(number: int) -> None:
            while waiting:
                await results.put(await self.play_at(number, waiting.pop(), act))

        async with asyncio.TaskGroup() as lanes:
            for number in range(len(self.stages)):
                lanes.create_task(lane(number))
            for _ in points:
                yield await results.get()

    async def play_at(self, number: int, point: Point, act: Act) -> Result:
        """The act at the point, on that stage; again, up to three times, if the point was not reached."""
        played = Played(False, [])
        for _ in range(_TRIES):
            async with self.scene(number) as scene:
                played = await act(scene, point)
            if played.reached:
                break
        return Result(point, played)


@asynccontextmanager
async def crashes(folder: Path, *, at_once: int, leases_ms: int | None = LEASES_MS) -> AsyncIterator[Crashes]:
    """Stages for so many scenes at once; logs and effects are kept in the folder. `leases_ms` None: as they are."""
    async with AsyncExitStack() as stack:
        stages = [await stack.enter_async_context(stage()) for _ in range(at_once)]
        hatch = await stack.enter_async_context(nursery(leases_ms))
        yield Crashes(hatch, stages, folder)
