"""/v1/messages: send, show, list, cancel."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from litestar import delete, get, post
from litestar.params import FromPath

from app.api.accepting import accept_message
from app.api.answers import JsonAnswer, MessageList, detailed, encode, json_answer, raw_answer
from app.api.bodies import SINGLE_MOST_BYTES, read_json
from app.api.parts import ApiRequest, parts_of
from app.api.problems import NOT_CANCELLABLE, NOT_FOUND, Problem
from app.api.requests import Query, caller_of, idempotency_key_of, traceparent_of
from app.intake.reading import Sent
from app.intake.strict_json import canonical
from app.message import FINAL
from app.phone import NumberFault, parse_caller_number

if TYPE_CHECKING:
    from app.api.parts import Store
    from app.intake.callers import Caller
    from app.store.messages import MessageDetail

LONGEST_WAIT_S = 60


@post("/v1/messages", request_max_body_size=None)
async def send_message(request: ApiRequest) -> JsonAnswer:
    """Takes a message in: 202 once it is as durable as configured."""
    started = time.perf_counter()
    caller, parts = caller_of(request), parts_of(request)
    body = await read_json(request, SINGLE_MOST_BYTES)
    key = idempotency_key_of(request)
    spelled = canonical(body, said_to="message") if key is not None else b""
    taken = await accept_message(parts, caller, Sent(body, spelled, key, traceparent_of(request)))
    headers = {"Location": f"/v1/messages/{taken.message.id}", **taken.headers}
    if taken.replayed:
        headers["Idempotency-Replayed"] = "true"
    parts.metrics.accept_seconds.observe(time.perf_counter() - started)
    return raw_answer(encode(taken.message), 202, headers)


@get("/v1/messages/{message_id:str}")
async def show_message(request: ApiRequest, message_id: FromPath[str]) -> JsonAnswer:
    """The message with its history; with `?wait=`, when it is final or after that many seconds."""
    caller, parts = caller_of(request), parts_of(request)
    query = Query(request, "wait")
    wait_s = query.number("wait", 0, LONGEST_WAIT_S, 0)
    query.check()
    shown = await _show(parts.store, message_id, caller)
    if wait_s and shown.message.state not in FINAL:
        shown = await _wait_for_final(request, message_id, caller, wait_s)
    return json_answer(detailed(shown))


async def _show(store: Store, message_id: str, caller: Caller) -> MessageDetail:
    shown = await store.messages.show(message_id, caller.name)
    if shown is None:
        raise Problem(NOT_FOUND)
    return shown


async def _wait_for_final(request: ApiRequest, message_id: str, caller: Caller, wait_s: int) -> MessageDetail:
    store = parts_of(request).store
    with store.finals.expecting(message_id) as ends:
        shown = await _show(store, message_id, caller)
        if shown.message.state in FINAL:
            return shown
        leaving = asyncio.create_task(_until_gone(request, ends))
        try:
            await asyncio.wait_for(ends.wait(), wait_s)
        except TimeoutError:
            pass  # the seconds are over: it is shown as it is
        finally:
            leaving.cancel()
    return await _show(store, message_id, caller)


async def _until_gone(request: ApiRequest, ends: asyncio.Event) -> None:
    """A caller that hangs up waits no longer."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    ends.set()


@get("/v1/messages")
async def list_messages(request: ApiRequest) -> JsonAnswer:
    """This client's messages of a reference, or to a number, newest first."""
    caller, store = caller_of(request), parts_of(request).store
    query = Query(request, "reference", "phone_number", "limit", "cursor")
    limit, cursor = query.number("limit", 1, 100, 20), query.text("cursor")
    reference, written = query.text("reference"), query.text("phone_number")
    if (reference is None) == (written is None):
        query.fault("reference", "expected either reference or phone_number")
    number = None if written is None else _number(written, caller, query)
    query.check()
    try:
        if reference is not None:
            page = await store.messages.by_reference(caller.name, reference, limit=limit, cursor=cursor)
        else:
            page = await store.messages.by_number(caller.name, number or "", limit=limit, cursor=cursor)
    except ValueError:
        query.fault("cursor", "expected the next_cursor of an earlier page")
        query.check()
        raise
    return json_answer(MessageList(data=page.messages, next_cursor=page.next_cursor))


def _number(written: str, caller: Caller, query: Query) -> str | None:
    regions = [region for campaign in caller.campaigns.values() for region in campaign.allowed_regions]
    try:
        return parse_caller_number(written, list(dict.fromkeys(regions)))
    except NumberFault as fault:
        query.fault("phone_number", str(fault))
        return None


@delete("/v1/messages/{message_id:str}", status_code=200)
async def cancel_message(request: ApiRequest, message_id: FromPath[str]) -> JsonAnswer:
    """Cancels a message that is still queued."""
    caller, store = caller_of(request), parts_of(request).store
    verdict = await store.messages.cancel(message_id, caller.name)
    if verdict == "unknown":
        raise Problem(NOT_FOUND)
    if verdict != "cancelled":
        raise Problem(NOT_CANCELLABLE)
    return json_answer((await _show(store, message_id, caller)).message)
