"""What the API process is made of: built once at start-up, found by routes in the application's state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import structlog
from litestar import Request

from app.api.authentication import Keys
from app.intake.callers import callers_of
from app.store.actions import Actions
from app.store.admin_callbacks import AdminCallbacks
from app.store.admin_messages import AdminMessages
from app.store.batch_keys import BatchKeys
from app.store.campaigns import Campaigns
from app.store.events import Events
from app.store.faults import StoreUnavailableError, StoreUnfitError
from app.store.finals import FinalWatch
from app.store.jobs import Jobs
from app.store.messages import Messages
from app.store.opening import open_database
from app.store.recall import Recall
from app.store.records import keep_for
from app.store.tokens import Tokens

if TYPE_CHECKING:
    from app.config import Config
    from app.store.database import Database
    from app.telemetry.metrics import Metrics

log = structlog.get_logger()

ApiRequest = Request[Any, Any, Any]
_OPEN_AGAIN_S = 1.0


class Store:
    """The store's faces, on one database."""

    def __init__(self, database: Database, config: Config) -> None:
        retention = keep_for(config.storage.retention, config.callbacks.retry_schedule)
        keep_ms = round(retention.total_seconds() * 1000)
        self.database = database
        self.messages = Messages(database, keep_ms=keep_ms)
        self.events = Events(database, keep_ms=keep_ms)
        self.campaigns = Campaigns(database)
        self.tokens = Tokens(database)
        self.recall = Recall(database)
        self.finals = FinalWatch(database)
        self.batch_keys = BatchKeys(database)
        self.actions = Actions(database, keep_ms=keep_ms)
        self.admin_messages = AdminMessages(database)
        self.admin_callbacks = AdminCallbacks(database)


class ApiParts:
    """Everything that routes share. Without Redis the API starts all the same, and answers 503 until it is there."""

    def __init__(self, config: Config, metrics: Metrics) -> None:
        self.config = config
        self.metrics = metrics
        callers = callers_of(config)
        self.keys = Keys(callers, config.admin.api_keys)
        self.jobs = Jobs(config.redis.queue_url)
        self.stopping = False
        self._store: Store | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def store(self) -> Store:
        """The store. `StoreUnavailableError` as long as Redis has not been there."""
        if self._store is None:
            raise StoreUnavailableError("redis has not been reached yet")
        return self._store

    async def open(self) -> None:
        """Opens the store, or goes on trying in the background. `StoreUnfitError` ends the start."""
        try:
            self._store = Store(await open_database(self.config), self.config)
        except StoreUnavailableError as error:
            log.warning("redis is away, answering 503 until it is there", error=str(error))
            self._opening = asyncio.create_task(self._open_later(), name="open store")

    async def _open_later(self) -> None:
        said = ""
        while self._store is None:
            await asyncio.sleep(_OPEN_AGAIN_S)
            try:
                self._store = Store(await open_database(self.config), self.config)
            except StoreUnavailableError:
                pass
            except StoreUnfitError as error:
                if str(error) != said:
                    log.error("redis is not fit, answering 503 until it is mended", error=str(error))
                said = str(error)
        log.info("redis is there")

    def stop_taking(self) -> None:
        """The process is going down: it is not ready any more, and nobody is kept waiting for a final state."""
        self.stopping = True
        if self._store is not None:
            self._store.finals.release_all()

    async def close(self) -> None:
        """Ends every connection."""
        if self._opening is not None:
            self._opening.cancel()
        await self.jobs.close()
        if self._store is not None:
            await self._store.finals.close()
            await self._store.database.close()


def parts_of(request: ApiRequest) -> ApiParts:
    """The parts of the application that serves the request."""
    return cast("ApiParts", request.app.state.parts)
