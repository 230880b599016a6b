"""The ASGI application: what is wired to what. Read this first.

`app` is made when it is asked for, from the file that `RELAY_CONFIG` names, so that importing this module does
nothing: `litestar --app app.main:app run`, `granian --interface asgi app.main:app`, `uvicorn app.main:app`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from litestar import Litestar

from app.api.admin_actions import list_actions
from app.api.admin_callbacks import admin_list_callbacks, admin_replay_callback, admin_replay_callbacks
from app.api.admin_campaigns import admin_list_campaigns, drain_campaign, pause_campaign, resume_campaign
from app.api.admin_messages import admin_list_messages, admin_show_message
from app.api.batches import send_batch
from app.api.callbacks import list_callbacks, list_events, replay_callback, replay_callbacks
from app.api.campaigns import list_campaigns
from app.api.docs_page import docs_asset, docs_page, openapi_document
from app.api.errors import problem_response
from app.api.health import livez, metrics, readyz
from app.api.life import ApiLife
from app.api.messages import cancel_message, list_messages, send_message, show_message
from app.api.preflight import refusing_options
from app.config import ConfigError, load
from app.config.watch import hangups
from app.telemetry.logs import configure_logging
from app.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from app.config import Config, Loaded

ROUTES = [
    send_message, send_batch, show_message, list_messages, cancel_message,
    list_campaigns, list_events, list_callbacks, replay_callback, replay_callbacks,
    admin_list_campaigns, pause_campaign, drain_campaign, resume_campaign, list_actions,
    admin_list_messages, admin_show_message, admin_list_callbacks, admin_replay_callback, admin_replay_callbacks,
    livez, readyz, metrics, openapi_document, docs_page, docs_asset,
]  # fmt: skip


def create_app(config: Config, loaded: Loaded | None = None) -> Litestar:
    """The application for this configuration; nothing is connected before it starts.

    `loaded` is where it was read from: SIGHUP, and a change of a secret's file, have it read again.
    """
    registry = Metrics()
    life = ApiLife(config, registry, loaded)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        with hangups(life.reload):
            try:
                await life.open()
                yield
            finally:
                await life.close()

    app = Litestar(
        route_handlers=[*refusing_options(ROUTES), *ROUTES],
        lifespan=[lifespan],
        exception_handlers={Exception: problem_response},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=64 * 1024,
    )
    app.state.life, app.state.metrics = life, registry
    return app


@cache
def _from_environment() -> Litestar:
    path = os.environ.get("RELAY_CONFIG")
    if not path:
        raise SystemExit("RELAY_CONFIG is not set: name the configuration, e.g. RELAY_CONFIG=relay.toml")
    try:
        loaded = load(Path(path))
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    configure_logging()
    app = create_app(loaded.config, loaded)
    # Litestar's command has the server set up its own logs meanwhile, one line for each URL among them.
    app.on_startup.append(_our_logs_again)
    return app


def _our_logs_again() -> None:
    configure_logging()


def __getattr__(name: str) -> Litestar:
    if name == "app":
        return _from_environment()
    raise AttributeError(name)
