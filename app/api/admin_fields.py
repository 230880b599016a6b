"""The fields of operators' bodies, as tables for the checks and the document; and who it is that asks for what."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from app.api.bodies import SINGLE_MOST_BYTES, read_json
from app.api.requests import header
from app.intake.faults import Faults
from app.intake.fields import REPLAY_FIELDS, Field, read_fields
from app.origin import UrlFault, parse_callback_url
from app.store.actions import Act

if TYPE_CHECKING:
    from app.api.parts import ApiRequest
    from app.api.requests import Query
    from app.intake.readers import Read

WHY_MOST, BY_MOST = 256, 64


def _said(most: int) -> Read[str]:
    expected = f"expected 1 to {most} printable characters"

    def read(value: object, at: str, faults: Faults) -> str | None:
        if isinstance(value, str) and 1 <= len(value) <= most and value.isprintable() and value.strip():
            return value
        faults.add(at, expected)
        return None

    return read


def _origin(value: object, at: str, faults: Faults) -> str | None:
    """A destination, in the spelling in which the store knows it."""
    try:
        return str(parse_callback_url(str(value) if isinstance(value, str) else "").origin)
    except UrlFault as fault:
        faults.add(at, str(fault))
        return None


def _text(most: int) -> dict[str, object]:
    return {"type": "string", "minLength": 1, "maxLength": most}


_REASON = Field(
    "reason",
    _said(WHY_MOST),
    "Why; kept in the log of actions. No phone number, no name of a person called.",
    _text(WHY_MOST),
    "INC-4711: callers report silent calls",
    required=True,
)
_BY = Field(
    "by",
    _said(BY_MOST),
    "Who, in your own word; kept beside the admin key's fingerprint.",
    _text(BY_MOST),
    "mai@ops",
)
_NO_REASON = Field("reason", _REASON.read, _REASON.says, _REASON.schema, "the receiver was down")

CAMPAIGN_ACTION_FIELDS: tuple[Field, ...] = (_REASON, _BY)
REPLAY_ONE_FIELDS: tuple[Field, ...] = (_NO_REASON, _BY)
REDRIVE_FIELDS: tuple[Field, ...] = (
    *REPLAY_FIELDS,
    Field(
        "client",
        _said(BY_MOST),
        "Those of this client alone.",
        {"type": "string"},
        None,
    ),
    Field(
        "destination",
        _origin,
        "Those that go to this scheme, host and port alone; a path is left out of account.",
        {"type": "string", "format": "uri", "maxLength": 2048},
        "https://checkout.internal",
    ),
    _NO_REASON,
    _BY,
)


def read_destination(query: Query) -> str | None:
    """The query's `destination`, in the spelling in which the store knows it."""
    written = query.text("destination")
    if written is None:
        return None
    try:
        return str(parse_callback_url(written).origin)
    except UrlFault as fault:
        query.fault("destination", str(fault))
        return None


async def read_action(
    request: ApiRequest, key: str, fields: tuple[Field, ...]
) -> tuple[Act, dict[str, object]]:
    """Who does what, and the body's fields. A `Problem` or a `BodyFault` if the body is at fault.

    Where no field is required, there may be no body.
    """
    faults = Faults()
    nothing = header(request, b"content-type") is None and not any(field.required for field in fields)
    body = {} if nothing else await read_json(request, SINGLE_MOST_BYTES)
    found = read_fields(fields, body, faults)
    faults.raise_any()
    return Act(cast("str | None", found.get("by")), key, cast("str | None", found.get("reason"))), found
