"""The fields of a message, as one table: types and rules for the checks, words and examples for the documentation.

Rules that need more than the value (the campaign's kind, the client's list, the clock) are in `reading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.intake import readers
from app.intake.faults import Faults, pointer_to

TTL_S = (5, 86_400)
BATCH_MOST = 1000


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a body. `schema` is its JSON Schema, in the words of OpenAPI 3.0."""

    name: str
    read: readers.Read[object]
    says: str
    schema: Mapping[str, object]
    example: object
    required: bool = False


_NAMES_TO_TEXT = {"type": "object", "additionalProperties": {"type": "string", "maxLength": 256}}

MESSAGE_FIELDS: tuple[Field, ...] = (
    Field(
        "campaign",
        readers.text(),
        "A campaign that the client may use; may be left out where it has just one.",
        {"type": "string"},
        "login-otp",
    ),
    Field(
        "phone_number",
        readers.text(),
        "National or E.164; spaces, dots and dashes allowed. A valid number of an allowed region.",
        {"type": "string", "maxLength": 40},
        "0901 234 567",
        required=True,
    ),
    Field(
        "otp_code",
        readers.code,
        "Required for a campaign of kind `voice_otp`, refused for `notification`. Never shown again.",
        {"type": "string", "pattern": "^[0-9]{6}$", "writeOnly": True},
        "004217",
    ),
    Field(
        "variables",
        readers.texts(most=None, longest=256, name_rule=readers.variable_name),
        "The contact's other fields. Names match `[A-Za-z_][A-Za-z0-9_]{0,39}`; `phone_number`, `otp_code` and "
        "`access_token` are the provider's own.",
        _NAMES_TO_TEXT,
        {"danh_xung": "anh", "ho_ten": "Nguyễn Văn A"},
    ),
    Field(
        "callback_url",
        readers.text(),
        "Where the outcome is sent; must match the client's `callback_allow`. Without it, the client's own.",
        {"type": "string", "format": "uri", "maxLength": 2048},
        "https://checkout.internal/otp-outcomes",
    ),
    Field(
        "expires_in",
        readers.whole_number(*TTL_S),
        "Seconds until no import that carries the message may leave. Not beside `expires_at`.",
        {"type": "integer", "minimum": TTL_S[0], "maximum": TTL_S[1]},
        120,
    ),
    Field(
        "expires_at",
        readers.moment,
        "As a time of RFC 3339, 5 seconds to 24 hours ahead. Not beside `expires_in`.",
        {"type": "string", "format": "date-time"},
        None,
    ),
    Field(
        "reference",
        readers.text(128),
        "The caller's own; messages can be listed by it.",
        {"type": "string", "maxLength": 128},
        "login-8841",
    ),
    Field(
        "metadata",
        readers.texts(most=16, longest=256, name_rule=readers.metadata_name),
        "The caller's own, returned untouched.",
        {**_NAMES_TO_TEXT, "maxProperties": 16},
        {"session": "c0ffee"},
    ),
)

REPLAY_FIELDS: tuple[Field, ...] = (
    Field(
        "since",
        readers.moment,
        "Events made since then.",
        {"type": "string", "format": "date-time"},
        "2026-11-24T00:00:00Z",
        required=True,
    ),
    Field(
        "state",
        readers.choice("dead", "delivered"),
        "Whose delivery is in this state; `dead` unless given.",
        {"type": "string", "enum": ["dead", "delivered"], "default": "dead"},
        "dead",
    ),
)


def _by_name(fields: tuple[Field, ...]) -> dict[str, Field]:
    return {field.name: field for field in fields}


_MESSAGE, _REPLAY = _by_name(MESSAGE_FIELDS), _by_name(REPLAY_FIELDS)


def read_message_fields(body: object, faults: Faults) -> dict[str, object]:
    """The values of a message's body that are right, by name; what is not, is among the faults."""
    return _read(_MESSAGE, body, faults)


def read_replay_fields(body: object, faults: Faults) -> dict[str, object]:
    """As `read_message_fields`, of the body that asks for a replay."""
    return _read(_REPLAY, body, faults)


def read_fields(fields: tuple[Field, ...], body: object, faults: Faults) -> dict[str, object]:
    """As `read_message_fields`, of a body of those fields."""
    return _read(_by_name(fields), body, faults)


def _read(fields: Mapping[str, Field], body: object, faults: Faults) -> dict[str, object]:
    if not isinstance(body, dict):
        faults.add("", "expected an object")
        return {}
    found: dict[str, object] = {}
    for name, value in body.items():
        field = fields.get(name)
        if field is None:
            faults.add(pointer_to(name), f"unknown field; expected one of {', '.join(fields)}")
            continue
        worth = field.read(value, "/" + name, faults)
        if worth is not None:
            found[name] = worth
    for field in fields.values():
        if field.required and field.name not in body:
            faults.add("/" + field.name, "required")
    return found
