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

from app.api.batches import send_batch
from app.api.callbacks import list_callbacks, list_events, replay_callback, replay_callbacks
from app.api.campaigns import list_campaigns
from app.api.docs_page import docs_asset, docs_page, openapi_document
from app.api.errors import problem_response
from app.api.health import livez, metrics, readyz
from app.api.messages import cancel_message, list_messages, send_message, show_message
from app.api.parts import ApiParts
from app.config import ConfigError, load_config
from app.telemetry.logs import configure_logging
from app.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from app.config import Config

ROUTES = [
    send_message, send_batch, show_message, list_messages, cancel_message,
    list_campaigns, list_events, list_callbacks, replay_callback, replay_callbacks,
    livez, readyz, metrics, openapi_document, docs_page, docs_asset,
]  # fmt: skip


def create_app(config: Config) -> Litestar:
    """The application for this configuration; nothing is connected before it starts."""
    registry = Metrics()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        app.state.metrics = registry
        app.state.parts = parts = ApiParts(config, registry)
        try:
            await parts.open()
            yield
        finally:
            await parts.close()

    return Litestar(
        route_handlers=ROUTES,
        lifespan=[lifespan],
        exception_handlers={Exception: problem_response},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=64 * 1024,
    )


@cache
def _from_environment() -> Litestar:
    path = os.environ.get("RELAY_CONFIG")
    if not path:
        raise SystemExit("RELAY_CONFIG is not set: name the configuration, e.g. RELAY_CONFIG=relay.toml")
    try:
        config = load_config(Path(path))
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    configure_logging()
    app = create_app(config)
    # Litestar's command has the server set up its own logs meanwhile, one line for each URL among them.
    app.on_startup.append(_our_logs_again)
    return app


def _our_logs_again() -> None:
    configure_logging()


def __getattr__(name: str) -> Litestar:
    if name == "app":
        return _from_environment()
    raise AttributeError(name)
