"""/v1/events and /v1/callbacks: what was told to a client, what could not be, and telling it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec
from litestar import get, post
from litestar.params import FromPath

from app.api.answers import JsonAnswer, json_answer
from app.api.bodies import SINGLE_MOST_BYTES, read_json
from app.api.parts import ApiRequest, parts_of
from app.api.problems import NO_CALLBACK, NOT_FOUND, Problem
from app.api.requests import Query, caller_of
from app.intake.faults import Faults
from app.intake.fields import read_replay_fields
from app.message import Callback, CallbackState, Message

if TYPE_CHECKING:
    from datetime import datetime

_STATES = {state.value: state for state in CallbackState if state is not CallbackState.NONE}


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event as its callback told it, and its id."""

    id: str
    type: str
    timestamp: str
    data: Message


class EventList(msgspec.Struct, frozen=True, kw_only=True):
    """Events in the order they were made; `next_cursor` leads on from the last, and stays where there is none."""

    data: list[Event]
    next_cursor: str | None


class ListedCallback(Callback, frozen=True, kw_only=True):
    """A delivery, and the message it tells of."""

    message_id: str


class CallbackList(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries, newest first."""

    data: list[ListedCallback]
    next_cursor: str | None


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """A replay was taken in."""

    status: str = "queued"


@get("/v1/events")
async def list_events(request: ApiRequest) -> JsonAnswer:
    """This client's events after a cursor, in the order they were made."""
    caller, store = caller_of(request), parts_of(request).store
    query = Query(request, "after", "limit")
    limit, after = query.number("limit", 1, 1000, 100), query.text("after")
    query.check()
    try:
        found = await store.events.after(caller.name, after, limit)
    except ValueError:
        query.fault("after", "expected the next_cursor of an earlier page")
        query.check()
        raise
    data = [
        Event(id=one.event_id, type=one.body.type, timestamp=one.body.timestamp, data=one.body.data)
        for one in found
    ]
    return json_answer(EventList(data=data, next_cursor=found[-1].cursor if found else after))


@get("/v1/callbacks")
async def list_callbacks(request: ApiRequest) -> JsonAnswer:
    """This client's deliveries in a state, newest first."""
    caller, store = caller_of(request), parts_of(request).store
    query = Query(request, "state", "limit", "cursor")
    limit, cursor = query.number("limit", 1, 100, 20), query.text("cursor")
    state = _STATES.get(query.text("state") or "dead")
    if state is None:
        query.fault("state", f"expected one of {', '.join(_STATES)}")
    query.check()
    try:
        found, after = await store.events.deliveries(
            caller.name, state or CallbackState.DEAD, limit=limit, cursor=cursor
        )
    except ValueError:
        query.fault("cursor", "expected the next_cursor of an earlier page")
        query.check()
        raise
    data = [
        ListedCallback(
            **{name: getattr(one.callback, name) for name in Callback.__struct_fields__},
            message_id=one.message_id,
        )
        for one in found
    ]
    return json_answer(CallbackList(data=data, next_cursor=after))


@post("/v1/callbacks/{event_id:str}/replay", status_code=202)
async def replay_callback(request: ApiRequest, event_id: FromPath[str]) -> JsonAnswer:
    """Sends one event again, under the same webhook-id."""
    caller, store = caller_of(request), parts_of(request).store
    verdict = await store.events.replay(caller.name, event_id)
    if verdict == "unknown":
        raise Problem(NOT_FOUND)
    if verdict != "queued":
        raise Problem(NO_CALLBACK)
    return json_answer(Queued(), 202)


@post("/v1/callbacks/replay", status_code=202, request_max_body_size=None)
async def replay_callbacks(request: ApiRequest) -> JsonAnswer:
    """Sends this client's events since a time again, those whose delivery is in a state."""
    caller, parts = caller_of(request), parts_of(request)
    faults = Faults()
    found = read_replay_fields(await read_json(request, SINGLE_MOST_BYTES), faults)
    faults.raise_any()
    since = cast("datetime", found["since"])
    state = CallbackState(cast("str", found.get("state", "dead")))
    await parts.jobs.replay_callbacks(caller.name, int(since.timestamp() * 1000), state)
    return json_answer(Queued(), 202)
