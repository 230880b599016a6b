"""What the API process is made of: found by routes in the application's state.

A request looks at it once and is served with that to its end; a changed configuration is other parts in their place
(`app/api/life.py`), so nothing here changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from litestar import Request

from app.store.actions import Actions
from app.store.admin_callbacks import AdminCallbacks
from app.store.admin_messages import AdminMessages
from app.store.batch_keys import BatchKeys
from app.store.campaigns import Campaigns
from app.store.events import Events
from app.store.faults import StoreUnavailableError
from app.store.messages import Messages
from app.store.recall import Recall
from app.store.records import keep_for
from app.store.tokens import Tokens

if TYPE_CHECKING:
    from app.api.authentication import Keys
    from app.config import Config
    from app.store.database import Database
    from app.store.finals import FinalWatch
    from app.store.jobs import Jobs
    from app.telemetry.metrics import Metrics

ApiRequest = Request[Any, Any, Any]


class Store:
    """The store's faces, on one database."""

    def __init__(self, database: Database, config: Config, finals: FinalWatch) -> None:
        retention = keep_for(config.storage.retention, config.callbacks.retry_schedule)
        keep_ms = round(retention.total_seconds() * 1000)
        self.database = database
        self.messages = Messages(database, keep_ms=keep_ms)
        self.events = Events(database, keep_ms=keep_ms)
        self.campaigns = Campaigns(database)
        self.tokens = Tokens(database)
        self.recall = Recall(database)
        self.finals = finals
        self.batch_keys = BatchKeys(database)
        self.actions = Actions(database, keep_ms=keep_ms)
        self.admin_messages = AdminMessages(database)
        self.admin_callbacks = AdminCallbacks(database)


@dataclass(frozen=True, slots=True, eq=False)
class ApiParts:
    """Everything that routes share, of one configuration."""

    config: Config
    keys: Keys
    metrics: Metrics
    jobs: Jobs
    stopping: bool = False
    """The process is going down: it is not ready any more."""
    opened: Store | None = None

    @property
    def store(self) -> Store:
        """The store. `StoreUnavailableError` as long as Redis has not been there."""
        if self.opened is None:
            raise StoreUnavailableError("redis has not been reached yet")
        return self.opened


def parts_of(request: ApiRequest) -> ApiParts:
    """The parts in force. Asked for once a request, so that it has one configuration to its end."""
    return cast("ApiParts", request.app.state.life.parts)
