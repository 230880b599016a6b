"""A worker's whole life: built, running until it is cancelled, and brought down with grace.

A changed configuration begins a new generation beside the one that runs, and only then is the former brought down. So
nothing waits while the former ends what it has in hand, and what it has in hand it ends as it was begun.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING

import structlog

from app.config.watch import ConfigWatch, NotNowError, hangups
from app.sealing import UnsealableError
from app.store.faults import StoreUnavailableError, StoreUnfitError
from app.store.in_use import InUseError
from app.store.opening import lacks_its_key, with_keys_of
from app.telemetry.metrics import Metrics
from workers.crew import Crew
from workers.generation import Generation
from workers.probes import serve_probes

if TYPE_CHECKING:
    from app.config import Config, Loaded

log = structlog.get_logger()

_CLOSE_S = 2.0


class WorkerLife:
    """The generation that runs now, and the former one as long as it has something in hand.

    `loaded` is where the configuration was read from: SIGHUP, and a change of a secret's file, have it read again.
    """

    def __init__(self, config: Config, loaded: Loaded | None = None) -> None:
        self._config = config
        self._metrics = Metrics()
        self._watch = None if loaded is None else ConfigWatch(loaded, self.take_up, self._metrics)
        self._now: Generation | None = None
        self._former: asyncio.Task[None] | None = None

    def reload(self) -> None:
        """Has the configuration's file read again. Fit for a signal's handler."""
        if self._watch is not None:
            self._watch.ask()

    async def live(self) -> None:
        """Runs until it is cancelled, ends with grace, and only then lets the cancellation through.

        `StoreUnfitError` if Redis could lose messages, or the configuration lacks what has some.
        """
        watching = Crew()
        with hangups(self.reload):
            self._now = await Generation.begin(self._config, self._metrics)
            self._metrics.configuration_taken_up()
            probes = await serve_probes(lambda: self.now)
            port = self._config.worker.port
            log.info("worker ready", campaigns=len(self._config.campaigns), probes_port=port)
            if self._watch is not None:
                watching.keep_running("configuration", self._watch.run)
            try:
                await asyncio.Event().wait()
            finally:
                await _to_its_end(watching.end_loops(0))
                await _to_its_end(self._end())
                if probes is not None:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(probes.cleanup(), _CLOSE_S)
                log.info("worker stopped")

    @property
    def now(self) -> Generation:
        """The generation under the configuration in force."""
        assert self._now is not None  # noqa: S101  asked for only once it has begun
        return self._now

    async def take_up(self, loaded: Loaded) -> None:
        """A new generation under this configuration, and the end of the one before. `ConfigError`, `NotNowError`."""
        if self._former is not None:
            await asyncio.wait({self._former})  # so that there never are more than two
        try:
            await with_keys_of(loaded.config, self.now.parts.database)
            new = await Generation.begin(loaded.config, self._metrics, wait_s=0)
        except InUseError as error:
            raise error.in_file(str(loaded.path)) from None
        except UnsealableError:
            raise lacks_its_key(str(loaded.path)) from None
        except (StoreUnavailableError, StoreUnfitError) as error:
            raise NotNowError(str(error)) from None
        except OSError as error:
            raise NotNowError(f"a CA bundle cannot be read: {error.strerror}") from None
        former, self._now = self.now, new
        self._former = asyncio.create_task(_ended(former), name="end of the former generation")

    async def _end(self) -> None:
        """Brings all of it down; each step has its deadline."""
        await asyncio.wait({asyncio.create_task(_ended(self.now)), *([self._former] if self._former else [])})


async def _ended(generation: Generation) -> None:
    try:
        await generation.go_down()
        await generation.close()
    except Exception as error:
        log.error("work failed", task="end of a configuration", exc_info=error)


async def _to_its_end(step: Coroutine[object, object, None]) -> None:
    """Runs the step to its end, however often the signal comes again meanwhile."""
    task = asyncio.create_task(step)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()
