"""arq's settings, made from the configuration: `arq workers.settings.WorkerSettings` with `RELAY_CONFIG`.

arq runs few and coarse jobs: the sweep each second, replays. The work itself runs in the crew's tasks, made in
`on_startup` and ended with grace in `on_shutdown`, since arq cancels its jobs in the middle and a Redis error in its
poll would end the process: its client here waits for Redis instead.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import structlog
import uvloop
from arq import cron, func
from arq.connections import ArqRedis
from arq.worker import Worker
from redis.asyncio.retry import Retry
from redis.backoff import EqualJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.config import ConfigError, load_config
from app.store.batches import source_of
from app.store.connection import connect
from app.store.duties import beat
from app.store.faults import StoreError
from app.store.jobs import QUEUE, REPLAY_CALLBACKS
from app.store.wakeups import WakeUps
from app.telemetry.logs import configure_logging
from app.telemetry.metrics import Metrics
from workers.carry import Carrier
from workers.collect import Collector
from workers.crew import Crew
from workers.heartbeat import Heartbeat
from workers.parts import Parts, build_parts
from workers.probes import serve_probes
from workers.push import Pusher, replay_since
from workers.submit import Drain, listen
from workers.sweep import sweep
from workers.tokens import TokenKeeper

if TYPE_CHECKING:
    from app.config import Config

log = structlog.get_logger()

GRACE_S = 15.0
_SWEEP_TIMEOUT_S = 20
_REPLAY_TIMEOUT_S = 300

Context = dict[Any, Any]
"""arq's own: what `on_startup` leaves for the jobs."""


def __getattr__(name: str) -> type:
    """`WorkerSettings`, made when arq asks for it, so that importing this module does nothing."""
    if name == "WorkerSettings":
        path = os.environ.get("RELAY_CONFIG")
        if not path:
            raise SystemExit("RELAY_CONFIG is not set: name the configuration, e.g. RELAY_CONFIG=relay.toml")
        try:
            return type("WorkerSettings", (), worker_settings(load_config(Path(path))))
        except ConfigError as error:
            raise SystemExit(str(error)) from None
    raise AttributeError(name)


def worker_settings(config: Config) -> dict[str, Any]:
    """The arguments of arq's Worker."""

    async def start(ctx: Context) -> None:
        await start_crew(ctx, config)

    return {
        "functions": [
            func(_replay_callbacks, name=REPLAY_CALLBACKS, timeout=_REPLAY_TIMEOUT_S, keep_result=0)
        ],
        "cron_jobs": [
            cron(
                _sweep,
                name="sweep",
                second=set(range(60)),
                timeout=_SWEEP_TIMEOUT_S,
                keep_result=0,
                max_tries=1,
            )
        ],
        "redis_pool": _patient_client(config.redis.queue_url),
        "queue_name": QUEUE,
        "on_startup": start,
        "on_shutdown": stop_crew,
        "job_completion_wait": 5,
        "keep_result": 0,
        "poll_delay": 0.5,
        "log_results": False,
        "health_check_interval": 30,
    }


def run_worker(config: Config) -> int:
    """Runs a worker until SIGTERM or SIGINT; the exit code."""
    configure_logging()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        Worker(**worker_settings(config)).run()
    except StoreError as error:
        print(f"otp-relay worker: {error}", file=sys.stderr)
        return 1
    finally:
        loop.close()
    return 0


def _patient_client(url: str) -> ArqRedis:
    patience = Retry(EqualJitterBackoff(cap=1.0, base=0.05), -1)
    return cast(
        "ArqRedis",
        connect(
            url,
            client_class=ArqRedis,
            retry=patience,
            retry_on_error=[RedisConnectionError, RedisTimeoutError, OSError],
        ),
    )


async def start_crew(ctx: Context, config: Config) -> None:
    """Builds the parts and starts every task of this process."""
    configure_logging()
    parts, crew = await build_parts(config, Metrics()), Crew()
    ctx["parts"], ctx["crew"] = parts, crew
    ctx["probes"] = await serve_probes(parts, crew)
    keepers = {
        name: TokenKeeper(
            name,
            client,
            parts.tokens,
            owner=parts.owner,
            timeout_s=config.accounts[name].timeout.total_seconds(),
            metrics=parts.metrics,
            crew=crew,
        )
        for name, client in parts.clients.items()
    }
    await beat(parts.database, parts.owner)
    drains = _drains(parts, crew, keepers)
    pusher = Pusher(parts, crew)
    ctx["wake_ups"] = wake_ups = WakeUps(config.redis.url)
    for name, drain in drains.items():
        crew.keep_running(f"drain {name}", drain.run)
    for source, collector in _collectors(parts, crew, keepers).items():
        crew.keep_running(f"collect {source}", collector.run)
    crew.keep_running("push", pusher.run)
    crew.keep_running("heartbeat", Heartbeat(parts.database, parts.owner, crew).run)
    crew.keep_running("listen", lambda: listen(wake_ups, drains, pusher.woken.set, crew))
    log.info("worker ready", campaigns=len(drains), probes_port=config.worker.port)


def _drains(parts: Parts, crew: Crew, keepers: dict[str, TokenKeeper]) -> dict[str, Drain]:
    accounts = parts.config.accounts
    carriers = {
        name: Carrier(accounts[name], client, keepers[name], parts.batches, parts.metrics)
        for name, client in parts.clients.items()
    }
    return {
        name: Drain(campaign, accounts[campaign.account], parts.batches, carriers[campaign.account], crew)
        for name, campaign in parts.config.campaigns.items()
    }


def _collectors(parts: Parts, crew: Crew, keepers: dict[str, TokenKeeper]) -> dict[str, Collector]:
    accounts = parts.config.accounts
    by_source: dict[str, list[Any]] = {}
    for campaign in parts.config.campaigns.values():
        by_source.setdefault(source_of(campaign, accounts[campaign.account]), []).append(campaign)
    return {
        source: Collector(
            source,
            accounts[campaigns[0].account],
            campaigns,
            client=parts.clients[campaigns[0].account],
            keeper=keepers[campaigns[0].account],
            outcomes=parts.outcomes,
            owner=parts.owner,
            metrics=parts.metrics,
            crew=crew,
        )
        for source, campaigns in by_source.items()
    }


async def stop_crew(ctx: Context) -> None:
    """Takes on nothing new, finishes what is in hand, closes everything."""
    crew: Crew | None = ctx.get("crew")
    if crew is None:
        return
    await crew.stop(GRACE_S)
    if ctx["probes"] is not None:
        await ctx["probes"].cleanup()
    await ctx["wake_ups"].close()
    await ctx["parts"].close()
    log.info("worker stopped")


async def _sweep(ctx: Context) -> None:
    try:
        await sweep(ctx["parts"])
    except StoreError as error:
        log.warning("sweep left to the next second: redis is away", error=str(error))


async def _replay_callbacks(ctx: Context, client: str, since_ms: int, state: str) -> None:
    await replay_since(ctx["parts"], client, since_ms, state)
