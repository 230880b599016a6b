"""The tasks that the process owns: started together, restarted when they fail, ended with grace.

Every task here has this owner, who sees it fail and says so; an outage of Redis is said once a task, not once a try.
Never cancels a loop that would end by itself in time: it may be about to be given something to do.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

import structlog

from app.store.faults import StoreError

log = structlog.get_logger()

T = TypeVar("T")

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = {True: 1.0, False: 2.0}
"""By whether it is Redis that is waited for."""
_WELL_AFTER_S = 10.0
"""What ran so long before it failed had Redis: longer than any one call to it waits. The outage is a new one."""
_LAST_WORDS_S = 2.0


class Crew:
    """Owns tasks. `end_loops` comes first, so that nothing new is taken on; then `end_work`."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self._loops: set[asyncio.Task[None]] = set()
        self._work: set[asyncio.Task[None]] = set()

    def keep_running(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Runs the loop until the crew stops; after a failure again, with growing pauses."""
        task = asyncio.create_task(self._again_and_again(name, run), name=name)
        self._loops.add(task)
        task.add_done_callback(self._loops.discard)

    def start(self, name: str, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Runs one piece of work, which is waited for at the end. Its failure is logged."""
        task = asyncio.create_task(self._seen(name, work), name=name)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    async def wait_for(self, event: asyncio.Event, timeout_s: float) -> None:
        """Until the event is set (then it is cleared), the time is over, or the crew stops."""
        if self.stopping.is_set():
            return
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self.stopping.wait())]
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        event.clear()

    async def unless_stopping(self, wait: Coroutine[object, object, T]) -> T | None:
        """What is waited for; None, and the wait is cancelled, once the crew stops."""
        task, stop = asyncio.create_task(wait), asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            stop.cancel()
            await _cut_off({task})

    async def end_loops(self, within_s: float) -> None:
        """Takes on nothing new: lets each loop end by itself, then ends the rest."""
        self.stopping.set()
        await _ended(self._loops, within_s)
        await _cut_off(set(self._loops))

    async def end_work(self, within_s: float) -> None:
        """Lets what is in hand end, and what it starts, then ends the rest."""
        await _ended(self._work, within_s)
        if self._work:
            log.warning("grace is over, work cut off", tasks=len(self._work))
        await _cut_off(set(self._work))

    async def _again_and_again(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        now = asyncio.get_running_loop().time
        pause_s, away = _FIRST_PAUSE_S, False
        while not self.stopping.is_set():
            started = now()
            try:
                await run()
            except Exception as error:
                if now() - started > _WELL_AFTER_S:
                    pause_s, away = _FIRST_PAUSE_S, False
                away = self._say(name, error, away=away)
            await self.wait_for(asyncio.Event(), pause_s * random.uniform(0.8, 1.2))  # noqa: S311  jitter
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S[away])

    def _say(self, name: str, error: Exception, *, away: bool) -> bool:
        if not isinstance(error, StoreError):
            log.error("task failed, starting it again", task=name, exc_info=error)
        elif not away:
            log.warning("redis is away, waiting for it", task=name, error=str(error))
        return isinstance(error, StoreError)

    async def _seen(self, name: str, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except StoreError as error:
            log.warning("work left to the sweep: redis is away", task=name, error=str(error))
        except Exception:
            log.exception("work failed", task=name)


async def _ended(tasks: set[asyncio.Task[None]], within_s: float) -> None:
    """Waits until the set, out of which each task falls when it is done, is empty; so long at most."""
    now = asyncio.get_running_loop().time
    give_up = now() + within_s
    while tasks and (left_s := give_up - now()) > 0:
        await asyncio.wait(set(tasks), timeout=left_s)


async def _cut_off(tasks: set[asyncio.Task[T]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_LAST_WORDS_S)
