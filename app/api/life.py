"""The API process's life: its parts from start to end, and other parts for a changed configuration.

Without Redis the API starts all the same, and answers 503 until it is there. Owns the one task that reaches Redis and
the one that watches the configuration. Never changes parts that a request may hold: they are put in each other's place.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from app.api.authentication import Keys
from app.api.parts import ApiParts, Store
from app.config.watch import ConfigWatch, NotNowError
from app.intake.callers import callers_of
from app.sealing import UnsealableError
from app.store.faults import StoreUnavailableError, StoreUnfitError
from app.store.finals import FinalWatch
from app.store.in_use import InUseError, refuse_in_use
from app.store.jobs import Jobs
from app.store.opening import lacks_its_key, open_database, with_keys_of

if TYPE_CHECKING:
    from app.config import Config, Loaded
    from app.store.database import Database
    from app.telemetry.metrics import Metrics

log = structlog.get_logger()

_OPEN_AGAIN_S = 1.0
_WATCH_AGAIN_S = 1.0


class ApiLife:
    """`parts` is what requests are served with now. `loaded`: where the configuration is watched; None: nowhere."""

    def __init__(self, config: Config, metrics: Metrics, loaded: Loaded | None = None) -> None:
        self.parts = ApiParts(config, _keys_of(config), metrics, Jobs(config.redis.queue_url))
        self._database: Database | None = None
        self._watch = None if loaded is None else ConfigWatch(loaded, self.take_up, metrics)
        self._tasks: list[asyncio.Task[None]] = []
        metrics.configuration_taken_up()

    async def open(self) -> None:
        """Opens the store, or goes on trying in the background. `StoreUnfitError` ends the start."""
        try:
            await self._reach()
        except StoreUnavailableError as error:
            log.warning("redis is away, answering 503 until it is there", error=str(error))
            self._tasks.append(asyncio.create_task(self._open_later(), name="open store"))
        if self._watch is not None:
            self._tasks.append(asyncio.create_task(self._keep_watching(self._watch), name="configuration"))

    def reload(self) -> None:
        """Has the configuration's file read again. Fit for a signal's handler."""
        if self._watch is not None:
            self._watch.ask()

    async def take_up(self, loaded: Loaded) -> None:
        """Serves every request that comes from now on by this configuration. `ConfigError`, `NotNowError`: none."""
        config, opened = loaded.config, self.parts.opened
        if self._database is not None and opened is not None:
            try:
                await refuse_in_use(self._database, config)
                opened = Store(await with_keys_of(config, self._database), config, opened.finals)
            except InUseError as error:
                raise error.in_file(str(loaded.path)) from None
            except UnsealableError:
                raise lacks_its_key(str(loaded.path)) from None
            except StoreUnavailableError as error:
                raise NotNowError(str(error)) from None
        self.parts = replace(self.parts, config=config, keys=_keys_of(config), opened=opened)
        metrics = self.parts.metrics
        for gauge in (
            metrics.queue_depth,
            metrics.queue_oldest_seconds,
            metrics.campaign_ceiling_used_ratio,
            metrics.campaign_held,
        ):
            gauge.clear()  # else a campaign that is gone would be told of for ever

    def stop_taking(self) -> None:
        """The process is going down: it is not ready any more, and nobody is kept waiting for a final state."""
        self.parts = replace(self.parts, stopping=True)
        if self.parts.opened is not None:
            self.parts.opened.finals.release_all()

    async def close(self) -> None:
        """Ends every task and every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.parts.jobs.close()
        if self.parts.opened is not None:
            await self.parts.opened.finals.close()
        if self._database is not None:
            await self._database.close()

    async def _reach(self) -> None:
        config = self.parts.config
        database = await open_database(config)
        try:
            await refuse_in_use(database, config)
        except BaseException:
            await database.close()
            raise
        if self.parts.config is not config:
            await database.close()
            raise StoreUnavailableError("the configuration has changed meanwhile")
        self._database = database
        self.parts = replace(self.parts, opened=Store(database, config, FinalWatch(database)))

    async def _open_later(self) -> None:
        said = ""
        while self.parts.opened is None:
            await asyncio.sleep(_OPEN_AGAIN_S)
            try:
                await self._reach()
            except StoreUnavailableError:
                pass
            except InUseError as error:
                if str(error) != said:
                    log.error(
                        "configuration lacks what is in use, answering 503 until it is mended",
                        error=str(error),
                    )
                said = str(error)
            except StoreUnfitError as error:
                if str(error) != said:
                    log.error("redis is not fit, answering 503 until it is mended", error=str(error))
                said = str(error)
        log.info("redis is there")

    async def _keep_watching(self, watch: ConfigWatch) -> None:
        while True:
            try:
                await watch.run()
            except Exception as error:
                log.error("task failed, starting it again", task="configuration", exc_info=error)
            await asyncio.sleep(_WATCH_AGAIN_S)


def _keys_of(config: Config) -> Keys:
    return Keys(callers_of(config), config.admin.api_keys)
