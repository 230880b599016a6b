"""The sandbox, put together: what is wired to what, and its start as a process. Read first.

`create_sandbox` gives the application, `run_sandbox` a process's whole life, `sandbox_server` one for tests.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

import structlog
from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import Scope

from app.sandbox.control_routes import control_router
from app.sandbox.page_routes import page_router
from app.sandbox.provider_routes import provider_router
from app.sandbox.sandbox import Sandbox
from app.sandbox.serve import PortInUse, listen, say, serve_until_stopped, serving
from app.sandbox.settings import CampaignSeed, SandboxSettings
from app.sandbox.state_file import StateFileUnreadable

__all__ = ["CampaignSeed", "SandboxSettings", "create_sandbox", "run_sandbox", "sandbox_server"]

MAX_BODY_BYTES = 32 * 1024 * 1024

log = structlog.get_logger()


def create_sandbox(settings: SandboxSettings) -> Litestar:
    """The application. Reads the state file, so raises `StateFileUnreadable` or OSError.

    It must be served by `app.sandbox.serve` for the faults that break connections.
    """
    sandbox = Sandbox(settings)
    return Litestar(
        route_handlers=[provider_router(), control_router(), page_router()],
        dependencies={"sandbox": Provide(lambda: sandbox, sync_to_thread=False)},
        on_shutdown=[sandbox.file.close],
        after_exception=[_log_fault_of_ours],
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
    )


def run_sandbox(
    settings: SandboxSettings, host: str, port: int, announce: Callable[[str], None] | None = None
) -> int:
    """Serve until SIGTERM or SIGINT; gives the process's exit code.

    `announce` gets the base URL when requests are taken. A port in use, or a state file that cannot be read, is told
    in one line on stderr, with exit code 1.
    """
    try:
        listener = listen(host, port)
        app = create_sandbox(settings)
    except PortInUse as error:
        say(f"{error}; choose another with --port")
        return 1
    except (OSError, StateFileUnreadable) as error:
        say(str(error))
        return 1
    serve_until_stopped(app, listener, announce or _announce)
    return 0


@contextlib.asynccontextmanager
async def sandbox_server(
    settings: SandboxSettings, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """A sandbox in the running loop, on a free port; gives its base URL."""
    async with serving(create_sandbox(settings), host, port) as url:
        yield url


async def _log_fault_of_ours(error: Exception, scope: Scope) -> None:
    """What nobody foresaw is logged with its traceback; the path alone is told, for the query holds secrets."""
    if not isinstance(error, HTTPException):
        log.error("sandbox request failed", path=scope["path"], exc_info=error)


def _announce(url: str) -> None:
    log.info("sandbox ready", page=f"{url}/", api=url)
