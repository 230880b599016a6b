"""/v1/campaigns: what a client may use, and how it stands with each."""

from __future__ import annotations

import msgspec
from litestar import get

from app.api.answers import JsonAnswer, json_answer
from app.api.parts import ApiRequest, parts_of
from app.api.requests import Query, caller_of
from app.message import rfc3339


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign as this client sees it: the figures are its own."""

    name: str
    kind: str
    state: str
    reason: str | None
    queued: int
    oldest_queued_at: str | None


class CampaignList(msgspec.Struct, frozen=True, kw_only=True):
    """Every campaign that the client may use."""

    data: list[Campaign]


@get("/v1/campaigns")
async def list_campaigns(request: ApiRequest) -> JsonAnswer:
    """The campaigns of this client."""
    caller, store = caller_of(request), parts_of(request).store
    Query(request).check()
    data = []
    for campaign in caller.campaigns.values():
        status = await store.campaigns.status(campaign, [caller.name])
        oldest = status.oldest_queued_at_ms
        data.append(
            Campaign(
                name=campaign.name,
                kind=campaign.kind,
                state=status.state,
                reason=status.reason,
                queued=status.queued,
                oldest_queued_at=None if oldest is None else rfc3339(oldest),
            )
        )
    return json_answer(CampaignList(data=data))
