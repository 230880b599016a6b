"""Reading a request's body: media type, then size while it arrives, then JSON. Keeps nothing past its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.api.problems import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    NOT_JSON,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
)
from app.api.requests import header
from app.intake.strict_json import NotJson, parse

if TYPE_CHECKING:
    from app.api.parts import ApiRequest

SINGLE_MOST_BYTES = 64 * 1024
BATCH_MOST_BYTES = 2 * 1024 * 1024


async def read_json(request: ApiRequest, most_bytes: int) -> object:
    """The parsed body. A `Problem` with 415, 413 or 400, looked for in this order."""
    _check_media_type(request)
    raw = await _read(request, most_bytes)
    try:
        return parse(raw)
    except NotJson as fault:
        raise Problem(NOT_JSON, f"{fault}.".capitalize().replace("json", "JSON")) from None


def _check_media_type(request: ApiRequest) -> None:
    media_type, _, parameters = (header(request, b"content-type") or "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    encoding = (header(request, b"content-encoding") or "").strip().lower()
    if (
        media_type.strip().lower() != "application/json"
        or charset not in ("", "charset=utf-8", "charset=utf8")
        or encoding not in ("", "identity")
    ):
        raise Problem(UNSUPPORTED_MEDIA_TYPE)


async def _read(request: ApiRequest, most_bytes: int) -> bytes:
    length = header(request, b"content-length") or ""
    if length.isdecimal() and length.isascii() and int(length) > most_bytes:
        raise _too_large(most_bytes)
    chunks: list[bytes] = []
    size = 0
    while True:
        event = await request.receive()
        if event["type"] != "http.request":
            raise Problem(BAD_REQUEST, "The connection ended before the body did.")
        chunks.append(event["body"])
        size += len(event["body"])
        if size > most_bytes:
            raise _too_large(most_bytes)
        if not event["more_body"]:
            return b"".join(chunks)


def _too_large(most_bytes: int) -> Problem:
    return Problem(BODY_TOO_LARGE, f"The body must be at most {most_bytes} bytes.")
