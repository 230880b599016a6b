"""/v1/admin/actions: who did what to which campaign or delivery, when, and why."""

from __future__ import annotations

import msgspec
from litestar import get

from app.api.answers import JsonAnswer, json_answer
from app.api.parts import ApiRequest, parts_of
from app.api.requests import Query, operator_of
from app.message import rfc3339


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log. `key`: the beginning of the admin key's SHA-256; `by`: the operator's own word."""

    id: str
    at: str
    action: str
    campaign: str | None
    event_id: str | None
    detail: str | None
    reason: str | None
    by: str | None
    key: str


class ActionList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the log, newest first."""

    data: list[Action]
    next_cursor: str | None


@get("/v1/admin/actions")
async def list_actions(request: ApiRequest) -> JsonAnswer:
    """The log of operators' actions."""
    operator_of(request)
    query = Query(request, "limit", "cursor")
    limit, cursor = query.number("limit", 1, 100, 20), query.text("cursor")
    query.check()
    try:
        found, more = await parts_of(request).store.actions.page(limit=limit, cursor=cursor)
    except ValueError:
        query.fault("cursor", "expected the next_cursor of an earlier page")
        query.check()
        raise
    data = [
        Action(
            id=one.cursor,
            at=rfc3339(one.at_ms),
            action=one.action,
            campaign=one.campaign,
            event_id=one.event_id,
            detail=one.detail,
            reason=one.act.why,
            by=one.act.by,
            key=one.act.key,
        )
        for one in found
    ]
    return json_answer(ActionList(data=data, next_cursor=more))
