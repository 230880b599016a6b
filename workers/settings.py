"""arq's settings, made from the configuration: `arq workers.settings.WorkerSettings` with `RELAY_CONFIG`.

A worker's whole life is in `on_startup`: arq's loop around it would end with the first error of Redis, so its part is
to bring the signal. It cancels `on_startup` when SIGTERM or SIGINT comes; then what is in hand ends with grace, and
only then does arq go on to its own end. arq's jobs are run by a loop of the crew (`workers/arq_loop.py`).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import structlog
import uvloop
from arq.connections import ArqRedis
from arq.worker import Worker
from redis.asyncio.retry import Retry
from redis.backoff import EqualJitterBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.config import ConfigError, load
from app.config.watch import hangups
from app.store.connection import connect
from app.store.database import unavailable
from app.store.faults import StoreError
from app.store.jobs import QUEUE
from app.store.opening import LOGIN_REFUSED
from app.telemetry.logs import configure_logging
from workers.arq_loop import Context, functions
from workers.life import WorkerLife

if TYPE_CHECKING:
    from app.config import Config, Loaded

log = structlog.get_logger()

T = TypeVar("T")


def __getattr__(name: str) -> type:
    """`WorkerSettings`, made when arq asks for it, so that importing this module does nothing."""
    if name == "WorkerSettings":
        path = os.environ.get("RELAY_CONFIG")
        if not path:
            raise SystemExit("RELAY_CONFIG is not set: name the configuration, e.g. RELAY_CONFIG=relay.toml")
        try:
            loaded = load(Path(path))
        except ConfigError as error:
            raise SystemExit(str(error)) from None
        return type("WorkerSettings", (), worker_settings(loaded.config, WorkerLife(loaded.config, loaded)))
    raise AttributeError(name)


def worker_settings(config: Config, life: WorkerLife) -> dict[str, Any]:
    """The arguments of arq's Worker, which has this life."""

    async def whole_life(_: Context) -> None:
        configure_logging()
        try:
            await life.live()
        except StoreError as error:
            raise SystemExit(f"otp-relay worker: {error}") from None

    return {
        "functions": functions(),
        "redis_pool": _waiting_client(config.redis.queue_url),
        "queue_name": QUEUE,
        "on_startup": whole_life,
        "job_completion_wait": 1,
    }


def run_worker(config: Config, loaded: Loaded | None = None) -> int:
    """Runs a worker until SIGTERM or SIGINT; the exit code. `loaded`: what is read again on SIGHUP."""
    configure_logging()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    life = WorkerLife(config, loaded)
    try:
        with hangups(life.reload):
            Worker(**worker_settings(config, life)).run()
    except SystemExit as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        loop.close()
    return 0


class _Patience(Retry):
    """Waits for Redis without end, and says so once."""

    def __init__(self) -> None:
        super().__init__(EqualJitterBackoff(cap=1.0, base=0.05), -1)

    async def call_with_retry(self, do: Callable[[], Awaitable[T]], fail: Callable[[RedisError], Any]) -> T:
        """As the library's."""
        said = False

        async def failed(error: RedisError) -> None:
            nonlocal said
            if isinstance(error, AuthenticationError):
                raise SystemExit(f"otp-relay worker: {LOGIN_REFUSED}")
            if not said:
                configure_logging()  # arq's command has just set up its own
                log.warning("redis is away, waiting for it", task="start", error=str(unavailable(error)))
            said = True
            await fail(error)

        return await super().call_with_retry(do, failed)


class _QueueClient(ArqRedis):
    """What arq's own loop is given: it asks for the server's version at the start, and that is all."""

    async def delete(self, *_: Any) -> int:  # noqa: ANN401  as the library declares it
        """arq clears its sign of life at the end; it is a key with an end of its own, and Redis may be away."""
        return 0


def _waiting_client(url: str) -> ArqRedis:
    errors = [RedisConnectionError, RedisTimeoutError, OSError]
    return cast("ArqRedis", connect(url, client_class=_QueueClient, retry=_Patience(), retry_on_error=errors))
