"""/livez, /readyz, /metrics: no key. Ready means that it can accept; of the rest the body tells, in words."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
from litestar import Response, get

from app.api.answers import JsonAnswer, json_answer
from app.api.parts import ApiRequest, parts_of
from app.store.faults import StoreError

if TYPE_CHECKING:
    from app.api.parts import ApiParts
    from app.store.campaigns import CampaignStatus

_ASK_S = 2.0
_HOLDS = (
    "campaign_stopped", "campaign_invalid", "provider_unavailable", "account_locked", "ceiling", "paused",
)  # fmt: skip


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """`notes` tell what is wrong beside: none of it keeps the API from accepting."""

    status: str
    redis: str
    notes: list[str]


@get("/livez")
async def livez() -> JsonAnswer:
    """The process answers."""
    return json_answer({"status": "alive"})


@get("/readyz")
async def readyz(request: ApiRequest) -> JsonAnswer:
    """200 when messages can be accepted, and the process is not going down."""
    parts = parts_of(request)
    if parts.stopping:
        return json_answer(Readiness(status="stopping", redis="not asked", notes=[]), 503)
    try:
        async with asyncio.timeout(_ASK_S):
            await parts.store.database.read("PING")
            notes = await _notes(parts)
    except (StoreError, TimeoutError):
        waiting = Readiness(status="not ready", redis="cannot be reached: nothing can be accepted", notes=[])
        return json_answer(waiting, 503)
    return json_answer(Readiness(status="ready", redis="ok", notes=notes))


async def _notes(parts: ApiParts) -> list[str]:
    notes = []
    for name, status in (await _statuses(parts)).items():
        if status.state != "running":
            notes.append(f"campaign {name} is {status.state}{f': {status.reason}' if status.reason else ''}")
        elif status.queued >= parts.config.campaigns[name].max_queued:
            notes.append(f"campaign {name} has a full queue: its messages get 503")
    for account in parts.config.accounts:
        wait_ms = await parts.store.tokens.locked_for_ms(account)
        if wait_ms:
            notes.append(f"account {account} is locked: the provider refuses its secret_key")
    return notes


async def _statuses(parts: ApiParts) -> dict[str, CampaignStatus]:
    clients = list(parts.config.clients)
    return {
        name: await parts.store.campaigns.status(campaign, clients)
        for name, campaign in parts.config.campaigns.items()
    }


@get("/metrics")
async def metrics(request: ApiRequest) -> Response[bytes]:
    """Prometheus' text format."""
    parts = parts_of(request)
    try:
        async with asyncio.timeout(_ASK_S):
            await _gauge_queues(parts)
    except (StoreError, TimeoutError):
        parts.metrics.redis_errors.labels(operation="metrics").inc()
    body, content_type = parts.metrics.render()
    return Response(body, headers={"content-type": content_type, "x-content-type-options": "nosniff"})


async def _gauge_queues(parts: ApiParts) -> None:
    now_ms = time.time() * 1000
    for name, status in (await _statuses(parts)).items():
        age_ms = 0 if status.oldest_queued_at_ms is None else now_ms - status.oldest_queued_at_ms
        parts.metrics.queue_depth.labels(campaign=name).set(status.queued)
        parts.metrics.queue_oldest_seconds.labels(campaign=name).set(max(0, age_ms) / 1000)
        reason = "paused" if status.state == "paused" else status.reason
        if ceiling := parts.config.campaigns[name].max_per_hour:
            used = (await parts.store.campaigns.hour(name)).calls / ceiling
            parts.metrics.campaign_ceiling_used_ratio.labels(campaign=name).set(used)
        for hold in _HOLDS:
            parts.metrics.campaign_held.labels(campaign=name, reason=hold).set(int(hold == reason))
