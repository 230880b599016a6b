"""/v1/admin/campaigns: every campaign over all clients; pause, drain and resume.

Each POST may be repeated: what is so already is left so, and not recorded again, unless the reason is another.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import structlog
from litestar import get, post
from litestar.params import FromPath

from app.api.admin_fields import CAMPAIGN_ACTION_FIELDS, read_action
from app.api.answers import JsonAnswer, json_answer
from app.api.parts import ApiRequest, parts_of
from app.api.problems import NOT_FOUND, Problem
from app.api.requests import Query, operator_of
from app.message import rfc3339

if TYPE_CHECKING:
    from app.api.parts import ApiParts
    from app.config import CampaignConfig
    from app.store.actions import Verb
    from app.store.campaigns import CampaignOverview, HeldBack

log = structlog.get_logger()


class OperatorsHold(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's word that stands: since when, whose, by which admin key's fingerprint, and why."""

    since: str
    by: str | None
    key: str | None
    reason: str | None


class Ceiling(msgspec.Struct, frozen=True, kw_only=True):
    """`used` of `max_per_hour` calls; `on_their_way`: leased besides. `next_free_at`: when the first counts no more."""

    max_per_hour: int
    used: int
    on_their_way: int
    next_free_at: str | None


class AdminCampaign(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign over all clients. `imports_under_way` over all workers; `probe_at`: when a held one is tried again."""

    name: str
    account: str
    kind: str
    state: str
    reason: str | None
    queued: int
    oldest_queued_at: str | None
    imports_under_way: int
    probe_at: str | None
    ceiling: Ceiling | None
    paused: OperatorsHold | None
    draining: OperatorsHold | None


class AdminCampaignList(msgspec.Struct, frozen=True, kw_only=True):
    """Every campaign of the configuration."""

    data: list[AdminCampaign]


@get("/v1/admin/campaigns")
async def admin_list_campaigns(request: ApiRequest) -> JsonAnswer:
    """Every campaign."""
    operator_of(request)
    Query(request).check()
    parts = parts_of(request)
    shown = [await _shown(parts, campaign) for campaign in parts.config.campaigns.values()]
    return json_answer(AdminCampaignList(data=shown))


@post("/v1/admin/campaigns/{name:str}/pause", status_code=200, request_max_body_size=None)
async def pause_campaign(request: ApiRequest, name: FromPath[str]) -> JsonAnswer:
    """Nothing of it is imported any more."""
    return await _act(request, "pause", name)


@post("/v1/admin/campaigns/{name:str}/drain", status_code=200, request_max_body_size=None)
async def drain_campaign(request: ApiRequest, name: FromPath[str]) -> JsonAnswer:
    """It takes no new messages."""
    return await _act(request, "drain", name)


@post("/v1/admin/campaigns/{name:str}/resume", status_code=200, request_max_body_size=None)
async def resume_campaign(request: ApiRequest, name: FromPath[str]) -> JsonAnswer:
    """Ends both."""
    return await _act(request, "resume", name)


async def _act(request: ApiRequest, verb: Verb, name: str) -> JsonAnswer:
    key, parts = operator_of(request), parts_of(request)
    act, _ = await read_action(request, key, CAMPAIGN_ACTION_FIELDS)
    campaign = parts.config.campaigns.get(name)
    if campaign is None:
        raise Problem(NOT_FOUND)
    if await parts.store.actions.on_campaign(verb, name, act):
        log.warning(
            "operator acted on a campaign", action=verb, campaign=name, by=act.by, key=key, why=act.why
        )
    return json_answer(await _shown(parts, campaign))


async def _shown(parts: ApiParts, campaign: CampaignConfig) -> AdminCampaign:
    found = await parts.store.campaigns.overview(campaign, list(parts.config.clients))
    return AdminCampaign(
        name=campaign.name,
        account=campaign.account,
        kind=campaign.kind,
        state=found.status.state,
        reason=found.status.reason,
        queued=found.status.queued,
        oldest_queued_at=_time(found.status.oldest_queued_at_ms),
        imports_under_way=found.under_way,
        probe_at=_time(found.probe_at_ms),
        ceiling=_ceiling(campaign, found),
        paused=_hold(found.paused),
        draining=_hold(found.draining),
    )


def _ceiling(campaign: CampaignConfig, found: CampaignOverview) -> Ceiling | None:
    if not campaign.max_per_hour:
        return None
    free_ms = found.hour.next_free_in_ms
    free_at = None if free_ms is None else datetime.now(UTC) + timedelta(milliseconds=free_ms)
    return Ceiling(
        max_per_hour=campaign.max_per_hour,
        used=found.hour.calls,
        on_their_way=found.hour.leased,
        next_free_at=None if free_at is None else rfc3339(int(free_at.timestamp() * 1000)),
    )


def _hold(held: HeldBack | None) -> OperatorsHold | None:
    if held is None:
        return None
    return OperatorsHold(since=rfc3339(held.since_ms), by=held.by, key=held.key, reason=held.why)


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)
