"""The tasks that the process owns: started together, restarted when they fail, ended with grace.

Every task here has this owner, who sees it fail and says so; an outage of Redis is said once, not once a try.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine

import structlog

from app.store.faults import StoreError

log = structlog.get_logger()

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0


class Crew:
    """Owns tasks. `stopping` is set first, so that loops take on nothing new; then work in hand may end."""

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

    async def stop(self, grace_s: float) -> None:
        """Takes on nothing new, lets what is in hand end within the grace, then ends the rest."""
        self.stopping.set()
        if self._work:
            await asyncio.wait(self._work, timeout=grace_s)
        left = [*self._work, *self._loops]
        for task in left:
            task.cancel()
        for task in left:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _again_and_again(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        pause_s = _FIRST_PAUSE_S
        away = False
        while not self.stopping.is_set():
            started = asyncio.get_running_loop().time()
            try:
                await run()
            except StoreError as error:
                if asyncio.get_running_loop().time() - started > _LONGEST_PAUSE_S:
                    pause_s, away = _FIRST_PAUSE_S, False
                if not away:
                    log.warning("redis is away, waiting for it", task=name, error=str(error))
                away = True
            except Exception:
                log.exception("task failed, starting it again", task=name)
            await self.wait_for(asyncio.Event(), pause_s * random.uniform(0.8, 1.2))  # noqa: S311  jitter
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _seen(self, name: str, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except StoreError as error:
            log.warning("work left to the sweep: redis is away", task=name, error=str(error))
        except Exception:
            log.exception("work failed", task=name)
