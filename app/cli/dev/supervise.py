"""Starts the parts in stages, waits until all are ready, watches them, and ends them in the opposite order.

If one part ends by itself, says which and why, and ends the rest. Knows no part by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

from app.cli.dev.keeper import Keeper
from app.cli.dev.part import Part, PartNotReadyError, RunningPart, how_it_ended
from app.cli.dev.terminal import Terminal


class Supervisor:
    """All parts of one `dev`."""

    def __init__(self, terminal: Terminal, logs: Path, keeper: Keeper) -> None:
        self._terminal = terminal
        self._logs = logs
        self._keeper = keeper
        self._running: list[RunningPart] = []
        self._stop = asyncio.Event()

    def ask_to_stop(self) -> None:
        """Ends all, gently; asked a second time, at once."""
        if self._stop.is_set():
            for running in self._running:
                running.kill()
        self._stop.set()

    async def run(self, stages: Sequence[Sequence[Part]], ready: Callable[[], None]) -> int:
        """Runs until asked to stop, or until a part ends. Gives the exit code. `ready` is called when all are.

        The parts of a stage start together, once those of the stage before are ready. They end last to first.
        """
        try:
            fault = await self._run(stages, ready)
        finally:
            for running in reversed(self._running):
                await running.stop(running.part.stop_within_s)
        if fault is None:
            return 0
        self._terminal.warn(fault)
        return 1

    async def _run(self, stages: Sequence[Sequence[Part]], ready: Callable[[], None]) -> str | None:
        for stage in stages:
            started = [await self._start(part) for part in stage]
            fault = await self._until(_all_ready(started))
            if fault is not None or self._stop.is_set():
                return fault
        ready()
        return await self._until(_for_ever())

    async def _start(self, part: Part) -> RunningPart:
        running = await RunningPart.start(part, self._logs / f"{part.name}.log", self._keeper)
        self._running.append(running)
        return running

    async def _until(self, goal: Coroutine[None, None, str | None]) -> str | None:
        """What `goal` gives, or sooner: None when asked to stop, a fault when a part has ended."""
        waiting = [
            asyncio.create_task(goal),
            asyncio.create_task(self._until_asked()),
            *(asyncio.create_task(self._until_ended(running)) for running in self._running),
        ]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        if self._stop.is_set():
            return None
        # Where several things happened at once, the end of a part is what matters.
        return next((fault for task in done if (fault := task.result()) is not None), None)

    async def _until_asked(self) -> None:
        await self._stop.wait()

    async def _until_ended(self, running: RunningPart) -> str:
        code = await running.until_ended()
        return _fault(running, how_it_ended(code))


async def _all_ready(started: Sequence[RunningPart]) -> str | None:
    async def one(running: RunningPart) -> str | None:
        try:
            await running.until_ready()
        except PartNotReadyError:
            return _fault(running, f"was not ready within {running.part.ready_within_s:g} s")
        return None

    faults = await asyncio.gather(*(one(running) for running in started))
    return next((fault for fault in faults if fault is not None), None)


async def _for_ever() -> None:
    await asyncio.Event().wait()


def _fault(running: RunningPart, what: str) -> str:
    name = running.part.name
    said = "".join(f"\n  {name}: {line}" for line in running.log.last_lines)
    words = f"; its last words:{said}" if said else ", without a word"
    return f"otp-relay dev: {name} {what}{words}\nThe rest was stopped."
