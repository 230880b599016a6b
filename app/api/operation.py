"""One operation of the OpenAPI document: what is said of it, and the small parts that such a description is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.api.examples import Json
    from app.api.problems import Kind
    from app.intake.fields import Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What is said of one method of one path."""

    method: str
    path: str
    name: str
    says: str
    answer: type | None
    status: int = 200
    parameters: Sequence[Json] = ()
    body: Json | None = None
    body_example: Json | None = None
    errors: Sequence[Kind] = ()
    headers: Json | None = None
    public: bool = False
    admin: bool = False
    """Asks for an admin key."""
    body_optional: bool = False
    refusal: Json | None = None
    """What the answer looks like with 503, where it is the same struct and no problem."""


def query(name: str, says: str, schema: Json | None = None) -> Json:
    """A parameter of the query."""
    return {"name": name, "in": "query", "description": says, "schema": schema or {"type": "string"}}


def path(name: str, example: str) -> Json:
    """A part of the path."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "example": example}


def header(name: str, says: str, schema: Json) -> Json:
    """A header of the request."""
    return {"name": name, "in": "header", "description": says, "schema": schema}


def limits(most: int, default: int) -> Json:
    """The schema of `limit`."""
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


def object_of(fields: Sequence[Field]) -> Json:
    """The schema of a body of these fields."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [field.name for field in fields if field.required],
        "properties": {field.name: {**field.schema, "description": field.says} for field in fields},
    }


def example_of(fields: Sequence[Field]) -> Json:
    """A body of these fields, of their examples."""
    return {field.name: field.example for field in fields if field.example is not None}
