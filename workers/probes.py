"""The worker's own port: livez, readyz, metrics. A worker that lost Redis is not ready, yet alive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import structlog
from aiohttp import web

from app.open_files import open_files_allowed
from app.store.faults import StoreError

if TYPE_CHECKING:
    from workers.generation import Generation

log = structlog.get_logger()

_ASK_S = 2.0
IDLE_S = 75.0
"""A connection may rest so long, and a head take so long to arrive."""


async def serve_probes(now: Callable[[], Generation]) -> web.AppRunner | None:
    """Serves on `[worker] port`; None where that is 0, or taken: several workers may share a machine.

    `now` gives what runs when a probe asks.
    """
    port = now().parts.config.worker.port
    if port == 0:
        return None
    open_files_allowed()  # so that who floods this port takes none from the provider's connections
    app = web.Application()
    app.on_response_prepare.append(_tell_nothing_of_the_server)
    app.router.add_get("/livez", _livez)
    app.router.add_get("/readyz", partial(_readyz, now))
    app.router.add_get("/metrics", partial(_metrics, now))
    runner = web.AppRunner(app, access_log=None, handle_signals=False, keepalive_timeout=IDLE_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, "0.0.0.0", port).start()  # noqa: S104  probes come from outside the pod
    except OSError:
        log.warning("worker port is taken, no probes: set [worker] port or RELAY_WORKER_PORT", port=port)
        await runner.cleanup()
        return None
    return runner


async def _tell_nothing_of_the_server(_: web.Request, answer: web.StreamResponse) -> None:
    answer.headers.popall("Server", None)
    answer.headers["x-content-type-options"] = "nosniff"


async def _livez(_: web.Request) -> web.Response:
    return _json({"status": "alive"})


async def _readyz(now: Callable[[], Generation], _: web.Request) -> web.Response:
    parts, crew = now().parts, now().crew
    if crew.stopping.is_set():
        return _json({"status": "stopping"}, status=503)
    try:
        await asyncio.wait_for(parts.database.read("PING"), _ASK_S)
        locked = [name for name in parts.config.accounts if await parts.tokens.locked_for_ms(name)]
    except (StoreError, TimeoutError):
        return _json({"status": "not ready", "redis": "cannot be reached"}, status=503)
    accounts = {name: "its secret_key is refused by the provider" for name in locked}
    return _json({"status": "ready", "redis": "ok", "locked_accounts": accounts})


async def _metrics(now: Callable[[], Generation], _: web.Request) -> web.Response:
    body, content_type = now().parts.metrics.render()
    return web.Response(body=body, headers={"content-type": content_type})


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
