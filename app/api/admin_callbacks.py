"""/v1/admin/callbacks: deliveries of all clients, and sending them again, which is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec
import structlog
from litestar import get, post
from litestar.params import FromPath

from app.api.admin_fields import REDRIVE_FIELDS, REPLAY_ONE_FIELDS, read_action, read_destination
from app.api.answers import JsonAnswer, json_answer
from app.api.callbacks import ListedCallback, Queued
from app.api.parts import ApiRequest, parts_of
from app.api.problems import NO_CALLBACK, NOT_FOUND, Problem, invalid
from app.api.requests import Query, operator_of
from app.message import Callback, CallbackState
from app.store.actions import Redrive

if TYPE_CHECKING:
    from datetime import datetime

log = structlog.get_logger()

CALLBACK_STATES = tuple(state.value for state in CallbackState if state is not CallbackState.NONE)


class AdminCallback(ListedCallback, frozen=True, kw_only=True):
    """A delivery of any client. `destination`: scheme, host and port."""

    client: str
    destination: str | None


class AdminCallbackList(msgspec.Struct, frozen=True, kw_only=True):
    """A page, newest first. It may be shorter than `limit` and still lead on."""

    data: list[AdminCallback]
    next_cursor: str | None


@get("/v1/admin/callbacks")
async def admin_list_callbacks(request: ApiRequest) -> JsonAnswer:
    """Deliveries in a state, of all clients and destinations or one."""
    operator_of(request)
    parts = parts_of(request)
    query = Query(request, "state", "client", "destination", "limit", "cursor")
    limit, cursor = query.number("limit", 1, 100, 20), query.text("cursor")
    state = query.choice("state", CallbackState, among=CALLBACK_STATES) or CallbackState.DEAD
    clients = query.names("client", parts.config.clients)
    destination = read_destination(query)
    query.check()
    try:
        found, more = await parts.store.admin_callbacks.page(
            clients, state, destination, limit=limit, cursor=cursor
        )
    except ValueError:
        query.fault("cursor", "expected the next_cursor of an earlier page")
        query.check()
        raise
    data = [
        AdminCallback(
            **{name: getattr(one.callback, name) for name in Callback.__struct_fields__},
            message_id=one.message_id,
            client=one.client,
            destination=one.destination,
        )
        for one in found
    ]
    return json_answer(AdminCallbackList(data=data, next_cursor=more))


@post("/v1/admin/callbacks/{event_id:str}/replay", status_code=202, request_max_body_size=None)
async def admin_replay_callback(request: ApiRequest, event_id: FromPath[str]) -> JsonAnswer:
    """Sends one event again, whosever it is. What waits already is left as it is, and not recorded."""
    key, parts = operator_of(request), parts_of(request)
    act, _ = await read_action(request, key, REPLAY_ONE_FIELDS)
    verdict = await parts.store.actions.replay(event_id, act)
    if verdict == "unknown":
        raise Problem(NOT_FOUND)
    if verdict != "queued":
        raise Problem(NO_CALLBACK)
    log.warning("operator replayed callbacks", event_id=event_id, by=act.by, key=key, why=act.why)
    return json_answer(Queued(), 202)


@post("/v1/admin/callbacks/replay", status_code=202, request_max_body_size=None)
async def admin_replay_callbacks(request: ApiRequest) -> JsonAnswer:
    """Sends events since a time again: of all clients and destinations, or one."""
    key, parts = operator_of(request), parts_of(request)
    act, found = await read_action(request, key, REDRIVE_FIELDS)
    which = Redrive(
        since_ms=int(cast("datetime", found["since"]).timestamp() * 1000),
        state=CallbackState(cast("str", found.get("state", "dead"))),
        client=cast("str | None", found.get("client")),
        destination=cast("str | None", found.get("destination")),
    )
    if which.client is not None and which.client not in parts.config.clients:
        raise invalid("/client", "expected a client of the configuration")
    await parts.store.actions.record_redrive(which, act)
    for client in [which.client] if which.client is not None else parts.config.clients:
        await parts.jobs.replay_callbacks(client, which.since_ms, which.state, which.destination)
    log.warning(
        "operator replayed callbacks",
        client=which.client or "all",
        destination=which.destination or "all",
        state=which.state.value,
        by=act.by,
        key=key,
        why=act.why,
    )
    return json_answer(Queued(), 202)
