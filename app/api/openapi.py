"""The OpenAPI document (3.0.3), made from the tables that the checks themselves use.

Owns the words about operations. Fields come from `app.intake.fields`, errors from `app.api.problems`, answers from
their structs, so the document cannot say another thing than the program does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import cast

import msgspec

from app.api import problems
from app.api.admin_examples import ADMIN_EXAMPLES
from app.api.admin_operations import admin_operations
from app.api.answers import DetailedMessage, MessageList, ProblemDocument
from app.api.batches import BatchAnswer
from app.api.callbacks import CallbackList, EventList, Queued
from app.api.campaigns import CampaignList
from app.api.examples import CALLBACK_EXAMPLE, EXAMPLES, MESSAGE_EXAMPLE, Json
from app.api.health import Readiness
from app.api.operation import Operation, example_of, header, limits, object_of, path, query
from app.api.problems import MEDIA_TYPE, Kind
from app.intake.fields import BATCH_MOST, MESSAGE_FIELDS, REPLAY_FIELDS
from app.message import Message

_KEY = header(
    "Idempotency-Key",
    "The same key with the same body gives the first answer again, for 24 hours.",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
)
_TRACE = header(
    "traceparent",
    "W3C Trace Context, carried to the callback. One that is malformed is as none.",
    {"type": "string"},
)
_ANSWER_HEADERS: dict[int, Json] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string", "enum": ["Bearer"]}}},
    429: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
    503: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
}
_LOCATION: Json = {"Location": {"required": True, "schema": {"type": "string", "format": "uri-reference"}}}
_REPLAYED: Json = {"Idempotency-Replayed": {"schema": {"type": "string", "enum": ["true"]}}}
_BODY_ERRORS = (
    problems.NOT_JSON, problems.BODY_TOO_LARGE, problems.UNSUPPORTED_MEDIA_TYPE, problems.INVALID_REQUEST,
)  # fmt: skip
_STATES = {"type": "string", "enum": ["pending", "delivered", "dead"], "default": "dead"}
_ID = path("message_id", MESSAGE_EXAMPLE["id"])


def _batch_of(one: Json) -> Json:
    many = {"type": "array", "minItems": 1, "maxItems": BATCH_MOST, "items": one}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["messages"],
        "properties": {"messages": many},
    }


def _operations() -> Sequence[Operation]:
    one = {"$ref": "#/components/schemas/NewMessage"}
    taking = (
        *_BODY_ERRORS,
        problems.FORBIDDEN,
        problems.IDEMPOTENCY_CONFLICT,
        problems.RATE_LIMITED,
    )
    return (
        Operation(
            method="post", path="/v1/messages", name="sendMessage", says="Send a message", answer=Message, status=202,
            headers={**_LOCATION, **_REPLAYED},
            parameters=(_KEY, _TRACE), body=one, body_example=example_of(MESSAGE_FIELDS),
            errors=(*taking, problems.OUTCOME_UNKNOWN, problems.CAMPAIGN_DRAINING),
        ),
        Operation(
            method="post", path="/v1/messages/batch", name="sendBatch", says="Send up to 1,000 messages",
            answer=BatchAnswer, status=202, parameters=(_KEY, _TRACE), headers=_REPLAYED,
            body=_batch_of(one),
            body_example={"messages": [example_of(MESSAGE_FIELDS)]},
            errors=(*_BODY_ERRORS, problems.IDEMPOTENCY_CONFLICT, problems.OUTCOME_UNKNOWN),
        ),
        Operation(
            method="get", path="/v1/messages/{message_id}", name="showMessage", says="Show a message with its history",
            answer=DetailedMessage, errors=(problems.NOT_FOUND, problems.INVALID_REQUEST),
            parameters=(_ID, query("wait", "Answer when the state is final, or after so many seconds.",
                                    {"type": "integer", "minimum": 0, "maximum": 60, "default": 0})),
        ),
        Operation(
            method="get", path="/v1/messages", name="listMessages",
            says="List messages by reference or number, newest first",
            answer=MessageList, errors=(problems.INVALID_REQUEST,),
            parameters=(query("reference", "Either this"), query("phone_number", "or this."),
                        query("limit", "", limits(100, 20)), query("cursor", "`next_cursor` of the page before.")),
        ),
        Operation(
            method="delete", path="/v1/messages/{message_id}", name="cancelMessage", says="Cancel a queued message",
            answer=Message, parameters=(_ID,),
            errors=(problems.NOT_FOUND, problems.NOT_CANCELLABLE, problems.OUTCOME_UNKNOWN),
        ),
        Operation(
            method="get", path="/v1/campaigns", name="listCampaigns",
            says="List the campaigns that this client may use",
            answer=CampaignList, errors=(problems.INVALID_REQUEST,),
        ),
        Operation(
            method="get", path="/v1/events", name="listEvents", says="List events in the order they were made",
            answer=EventList, errors=(problems.INVALID_REQUEST,),
            parameters=(query("after", "`next_cursor` of the page before."), query("limit", "", limits(1000, 100))),
        ),
        Operation(
            method="get", path="/v1/callbacks", name="listCallbacks", says="List deliveries by state, newest first",
            answer=CallbackList, errors=(problems.INVALID_REQUEST,),
            parameters=(query("state", "", _STATES),
                        query("limit", "", limits(100, 20)), query("cursor", "`next_cursor` of the page before.")),
        ),
        Operation(
            method="post", path="/v1/callbacks/{event_id}/replay", name="replayCallback", says="Send one event again",
            answer=Queued, status=202, parameters=(path("event_id", CALLBACK_EXAMPLE["event_id"]),),
            errors=(problems.NOT_FOUND, problems.NO_CALLBACK, problems.OUTCOME_UNKNOWN),
        ),
        Operation(
            method="post", path="/v1/callbacks/replay", name="replayCallbacks", says="Send events since a time again",
            answer=Queued, status=202, body=object_of(REPLAY_FIELDS), body_example=example_of(REPLAY_FIELDS),
            errors=_BODY_ERRORS,
        ),
        *admin_operations(),
        Operation(method="get", path="/livez", name="livez", says="The process answers", answer=None, public=True),
        Operation(
            method="get", path="/readyz", name="readyz", says="Whether messages can be accepted", answer=Readiness,
            public=True,
            refusal={"status": "not ready", "redis": "cannot be reached: nothing can be accepted", "notes": []},
        ),
        Operation(method="get", path="/metrics", name="metrics", says="Prometheus metrics", answer=None, public=True),
    )  # fmt: skip


_EXAMPLES = {**EXAMPLES, **ADMIN_EXAMPLES}


@cache
def openapi() -> bytes:
    """The document, as JSON."""
    answers = [*_EXAMPLES, ProblemDocument]
    _, schemas = msgspec.json.schema_components(answers, ref_template="#/components/schemas/{name}")
    schemas["NewMessage"] = object_of(MESSAGE_FIELDS)
    paths: dict[str, Json] = {}
    for operation in _operations():
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    document = {
        "openapi": "3.0.3",
        "info": {
            "title": "otp-relay",
            "version": "1",
            "description": "Rings a phone with a one-time code or a notice.",
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": _nullable(schemas),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A client's API key."},
                "adminKey": {"type": "http", "scheme": "bearer", "description": "An operator's key."},
            },
        },
    }
    return msgspec.json.encode(document)


def _described(operation: Operation) -> Json:
    responses: Json = {str(operation.status): {**_answer(operation), "headers": operation.headers or {}}}
    if operation.refusal is not None:
        responses["503"] = _answer(operation, operation.refusal)
    kinds = list(operation.errors)
    if not operation.public:
        kinds += [problems.UNAUTHORIZED, problems.UNAVAILABLE]
    by_status: dict[int, list[Kind]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    for status, same in sorted(by_status.items()):
        responses[str(status)] = {**_errors(same), "headers": _ANSWER_HEADERS.get(status, {})}
    described: Json = {
        "operationId": operation.name,
        "summary": operation.says,
        "parameters": list(operation.parameters),
        "responses": responses,
    }
    if operation.public:
        described["security"] = []
    if operation.admin:
        described |= {"security": [{"adminKey": []}], "tags": ["admin"]}
    if operation.body is not None:
        content = {"schema": operation.body, "example": operation.body_example}
        described["requestBody"] = {
            "required": not operation.body_optional,
            "content": {"application/json": content},
        }
    return described


def _answer(operation: Operation, example: Json | None = None) -> Json:
    if operation.answer is None:
        return {"description": operation.says}
    content = {
        "schema": {"$ref": f"#/components/schemas/{operation.answer.__name__}"},
        "example": example or _EXAMPLES[operation.answer],
    }
    return {"description": operation.says, "content": {"application/json": content}}


def _errors(kinds: Sequence[Kind]) -> Json:
    examples = {
        kind.slug: {
            "value": {"type": kind.type, "title": kind.title, "status": kind.status, "detail": kind.says}
        }
        for kind in kinds
    }
    content = {"schema": {"$ref": "#/components/schemas/ProblemDocument"}, "examples": examples}
    return {"description": "; ".join(kind.title for kind in kinds), "content": {MEDIA_TYPE: content}}


def _nullable(schema: object) -> object:
    """JSON Schema's `null` in the words of OpenAPI 3.0."""
    if isinstance(schema, list):
        return [_nullable(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    branches = cast("list[Json]", schema.get("anyOf", []))
    if {"type": "null"} not in branches:
        return {name: _nullable(value) for name, value in schema.items()}
    others = [_nullable(one) for one in branches if one != {"type": "null"}]
    rest = {name: _nullable(value) for name, value in schema.items() if name != "anyOf"}
    only = cast("Json", others[0])
    if len(others) == 1 and "$ref" not in only:
        return {**rest, **only, "nullable": True}
    return {**rest, "nullable": True, "allOf" if len(others) == 1 else "anyOf": others}
