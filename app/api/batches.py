"""/v1/messages/batch: up to 1,000 messages in one request, each with an answer of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from litestar import post

from app.api.accepting import accept_message
from app.api.answers import JsonAnswer, ProblemDocument, encode, raw_answer
from app.api.bodies import BATCH_MOST_BYTES, read_json
from app.api.errors import problem_of
from app.api.parts import ApiRequest, parts_of
from app.api.problems import IDEMPOTENCY_CONFLICT, UNAVAILABLE, Problem, unavailable
from app.api.requests import caller_of, idempotency_key_of, traceparent_of
from app.intake.faults import Faults, pointer_to
from app.intake.fields import BATCH_MOST
from app.intake.reading import Sent
from app.intake.strict_json import canonical
from app.message import Message
from app.store.batch_keys import Answered, item_key
from app.store.messages import KeyConflict

if TYPE_CHECKING:
    from app.api.parts import ApiParts
    from app.intake.callers import Caller

_AT_ONCE = 100
_ITEM_STATUSES = frozenset({403, 422, 429, 503})


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one item: `message` with 202, `error` otherwise."""

    status: int
    message: Message | None = None
    error: ProblemDocument | None = None


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of all, in the order sent."""

    accepted: int
    rejected: int
    results: list[Result]


@post("/v1/messages/batch", request_max_body_size=None)
async def send_batch(request: ApiRequest) -> JsonAnswer:
    """Takes each message in by itself: one bad item harms no other."""
    caller, parts = caller_of(request), parts_of(request)
    body = await read_json(request, BATCH_MOST_BYTES)
    key = idempotency_key_of(request)
    items = _items_of(body)
    spelled = canonical(body, said_to="batch")
    if key is not None:
        known = await parts.store.batch_keys.reserve(caller.name, key, spelled)
        if isinstance(known, KeyConflict):
            raise Problem(IDEMPOTENCY_CONFLICT)
        if isinstance(known, Answered):
            return raw_answer(known.answer, 202, {"Idempotency-Replayed": "true"})
    results = await _take_all(parts, caller, items, key, traceparent_of(request))
    if all(result.error is not None and result.error.type == UNAVAILABLE.type for result in results):
        raise unavailable()
    accepted = sum(result.status == 202 for result in results)
    answer = encode(BatchAnswer(accepted=accepted, rejected=len(results) - accepted, results=results))
    if key is not None and not any(result.status == 503 for result in results):
        answer = await parts.store.batch_keys.keep(caller.name, key, spelled, answer)
    return raw_answer(answer, 202)


def _items_of(body: object) -> list[object]:
    faults = Faults()
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(body, dict):
        faults.add("", "expected an object")
    else:
        for name in body:
            if name != "messages":
                faults.add(pointer_to(name), "unknown field; expected messages")
        if not isinstance(messages, list) or not 1 <= len(messages) <= BATCH_MOST:
            faults.add("/messages", f"expected a list of 1 to {BATCH_MOST} messages")
    faults.raise_any()
    return messages if isinstance(messages, list) else []


async def _take_all(
    parts: ApiParts, caller: Caller, items: list[object], key: str | None, traceparent: str | None
) -> list[Result]:
    turn = asyncio.Semaphore(_AT_ONCE)

    async def take(index: int, item: object) -> Result:
        own_key = None if key is None else item_key(key, index)
        spelled = canonical(item, said_to="batch item") if key is not None else b""
        async with turn:
            return await _take(parts, caller, Sent(item, spelled, own_key, traceparent))

    return await asyncio.gather(*(take(index, item) for index, item in enumerate(items)))


async def _take(parts: ApiParts, caller: Caller, sent: Sent) -> Result:
    try:
        taken = await accept_message(parts, caller, sent)
    except Exception as error:
        problem = problem_of(error)
        if problem is None or problem.kind.status not in _ITEM_STATUSES:
            raise
        return Result(status=problem.kind.status, error=msgspec.convert(problem.document(), ProblemDocument))
    return Result(status=202, message=taken.message)
