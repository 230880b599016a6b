"""/v1/admin/messages: messages of all clients, for operators: numbers masked, no code, no variable, no metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from litestar import get
from litestar.params import FromPath

from app.api.answers import JsonAnswer, json_answer
from app.api.parts import ApiRequest, parts_of
from app.api.problems import NOT_FOUND, Problem
from app.api.requests import Query, operator_of
from app.message import Callback, State, TimelineEntry
from app.phone import NumberFault, parse_caller_number
from app.store.admin_messages import MessageSearch
from app.store.batches import source_of

if TYPE_CHECKING:
    from app.config import Config
    from app.message import Call
    from app.store.admin_messages import SeenMessage


class AdminCall(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider says of the call, without what the person pressed."""

    call_id: str
    called_at: str | None
    duration: int
    note: str
    state: int
    late: bool


class AdminMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of any client. `destination`: scheme, host and port of its callback URL."""

    id: str
    client: str
    campaign: str
    state: State
    reason: str | None
    phone_number: str
    reference: str | None
    destination: str | None
    accepted_at: str
    expires_at: str
    submitted_at: str | None
    finished_at: str | None
    call: AdminCall | None
    revision: int


class AdminMessageDetail(AdminMessage, frozen=True, kw_only=True):
    """With its history."""

    timeline: list[TimelineEntry]
    callbacks: list[Callback]


class AdminMessageList(msgspec.Struct, frozen=True, kw_only=True):
    """A page, newest first. It may be shorter than `limit` and still lead on."""

    data: list[AdminMessage]
    next_cursor: str | None


@get("/v1/admin/messages")
async def admin_list_messages(request: ApiRequest) -> JsonAnswer:
    """Messages to a number, of a reference, or in a state, of all clients or one."""
    operator_of(request)
    parts = parts_of(request)
    query = Query(request, "client", "campaign", "state", "reference", "phone_number", "limit", "cursor")
    limit, cursor = query.number("limit", 1, 100, 20), query.text("cursor")
    search = _search(query, parts.config)
    query.check()
    try:
        found, more = await parts.store.admin_messages.page(search, limit=limit, cursor=cursor)
    except ValueError:
        query.fault("cursor", "expected the next_cursor of an earlier page")
        query.check()
        raise
    return json_answer(
        AdminMessageList(data=[AdminMessage(**_fields(one)) for one in found], next_cursor=more)
    )


@get("/v1/admin/messages/{message_id:str}")
async def admin_show_message(request: ApiRequest, message_id: FromPath[str]) -> JsonAnswer:
    """A message of any client, with its history."""
    operator_of(request)
    Query(request).check()
    shown = await parts_of(request).store.admin_messages.show(message_id)
    if shown is None:
        raise Problem(NOT_FOUND)
    return json_answer(
        AdminMessageDetail(**_fields(shown.message), timeline=shown.timeline, callbacks=shown.callbacks)
    )


def _search(query: Query, config: Config) -> MessageSearch:
    clients = query.names("client", config.clients)
    campaigns = query.names("campaign", config.campaigns)
    reference, written = query.text("reference"), query.text("phone_number")
    state = query.choice("state", State)
    if reference is not None and written is not None:
        query.fault("reference", "expected either reference or phone_number")
    elif reference is None and written is None and state is None:
        query.fault("state", "expected one of state, reference and phone_number")
    chosen = [config.campaigns[name] for name in campaigns]
    return MessageSearch(
        clients=clients,
        campaigns=campaigns,
        sources=sorted({source_of(one, config.accounts[one.account]) for one in chosen}),
        state=state,
        phone_number=None if written is None else _number(written, config, query),
        reference=reference,
    )


def _number(written: str, config: Config, query: Query) -> str | None:
    regions = [region for campaign in config.campaigns.values() for region in campaign.allowed_regions]
    try:
        return parse_caller_number(written, list(dict.fromkeys(regions)))
    except NumberFault as fault:
        query.fault("phone_number", str(fault))
        return None


def _fields(one: SeenMessage) -> dict[str, Any]:
    shown = {
        name: getattr(one, name) for name in AdminMessage.__struct_fields__ if name not in ("id", "call")
    }
    return {**shown, "id": one.message_id, "call": _call(one.call)}


def _call(call: Call | None) -> AdminCall | None:
    if call is None:
        return None
    return AdminCall(**{name: getattr(call, name) for name in AdminCall.__struct_fields__})
