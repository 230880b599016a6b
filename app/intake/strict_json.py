"""JSON as RFC 8259 means it, with no guesses: UTF-8, no NaN, no name twice in one object, no bottomless nesting."""

from __future__ import annotations

import json
from typing import NoReturn

import msgspec

_encode = msgspec.json.Encoder(order="deterministic").encode


class NotJson(Exception):
    """The text is not JSON. What is wrong is told without any of the text."""


class _Twice(ValueError):
    """A name stands twice in one object."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice
    return found


def _constant(_: str) -> NoReturn:
    raise ValueError("a number that JSON does not have")


_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode


def parse(raw: bytes) -> object:
    """The value in plain Python types. `NotJson` says what is expected."""
    try:
        parsed: object = _decode(raw.decode())
    except UnicodeDecodeError:
        raise NotJson("expected JSON in UTF-8") from None
    except json.JSONDecodeError as fault:
        raise NotJson(
            f"expected JSON; the text cannot be read from line {fault.lineno}, column {fault.colno}"
        ) from None
    except _Twice:
        raise NotJson("expected JSON in which no name stands twice in one object") from None
    except RecursionError:
        raise NotJson("expected JSON that is nested less deeply") from None
    except ValueError:
        raise NotJson("expected JSON, whose numbers are finite and of reasonable length") from None
    return parsed


def canonical(value: object, *, said_to: str) -> bytes:
    """One spelling for all texts that are equal as JSON and were sent to the same endpoint."""
    try:
        return said_to.encode() + b"\n" + _encode(value)
    except (RecursionError, UnicodeEncodeError, OverflowError):
        return said_to.encode() + b"\n"
