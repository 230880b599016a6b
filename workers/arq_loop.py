"""arq's own loop, run as one of the crew's: it starts the sweep each second, and the few jobs that the API asks for.

arq ends with the first error of Redis that it meets, be it in the middle of a transaction or for want of memory. Here
the loop ends and is started again, never the process. While Redis has no memory for arq's jobs, the sweep, which frees
some, is run without one. A job in hand when the loop ends may finish; what is cut off is run again by whoever comes.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

import structlog
from arq import cron, func
from arq.connections import ArqRedis
from arq.worker import Worker
from redis.exceptions import OutOfMemoryError, RedisError

from app.store.connection import connect
from app.store.database import unavailable
from app.store.faults import StoreError
from app.store.jobs import QUEUE, REPLAY_CALLBACKS
from workers.push import replay_since
from workers.sweep import sweep

if TYPE_CHECKING:
    from workers.crew import Crew
    from workers.parts import Parts

log = structlog.get_logger()

_SWEEP_TIMEOUT_S = 20
_REPLAY_TIMEOUT_S = 300
_JOBS_END_S = 3.0

Context = dict[Any, Any]
"""arq's own: what its jobs are given."""


class ArqLoop:
    """The loop in this worker, with a client of its own for arq's queue."""

    def __init__(self, parts: Parts, crew: Crew) -> None:
        self._parts = parts
        self._crew = crew
        self._queue = cast("ArqRedis", connect(parts.config.redis.queue_url, client_class=ArqRedis))

    async def run(self) -> None:
        """Until the crew stops. `StoreUnavailableError` when Redis ended it."""
        worker = Worker(
            functions=functions(),
            cron_jobs=[
                cron(_sweep, name="sweep", second=set(range(60)), timeout=_SWEEP_TIMEOUT_S, max_tries=1)
            ],
            redis_pool=self._queue,
            queue_name=QUEUE,
            handle_signals=False,
            keep_result=0,
            poll_delay=0.5,
            log_results=False,
            health_check_interval=30,
            ctx={"parts": self._parts},
        )
        try:
            await self._crew.unless_stopping(worker.async_run())
        except OutOfMemoryError as error:
            await sweep(self._parts)
            raise unavailable(error) from None
        except RedisError as error:
            raise unavailable(error) from None
        finally:
            await _let_end(worker)

    async def close(self) -> None:
        """Ends its connections."""
        await self._queue.aclose()


async def _let_end(worker: Worker) -> None:
    worker.allow_pick_jobs = False
    jobs = set(worker.tasks.values())
    if jobs:
        await asyncio.wait(jobs, timeout=_JOBS_END_S)
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)


def functions() -> list[Any]:
    """What arq's jobs may call."""
    return [func(_replay_callbacks, name=REPLAY_CALLBACKS, timeout=_REPLAY_TIMEOUT_S, keep_result=0)]


async def _sweep(ctx: Context) -> None:
    with contextlib.suppress(StoreError):  # the tasks that wait for Redis say that it is away
        await sweep(ctx["parts"])


async def _replay_callbacks(
    ctx: Context, client: str, since_ms: int, state: str, destination: str | None = None
) -> None:
    await replay_since(ctx["parts"], client, since_ms, state, destination)
