"""AICallCenter's bodies, as bytes: what we write, and a lenient reading of what comes.

Owns the shapes of provider-api.md and nothing of HTTP. Text is never normalised, so that Vietnamese names arrive
as they were written, NFC or NFD. No fault raised here may quote what it read: bodies hold tokens and numbers.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec

from app.phone import NumberFormat, as_provider_spelling, same_number
from app.provider.model import CallRow, Contact, ExportPage, ImportReceipt, Taken

T = TypeVar("T")

Scalar = int | float | str | bool | None
"""What stands where the document shows a number or a string: it may come as either, or as null."""


class NotTheDocument(ValueError):
    """A body that is not what the document says. Carries no part of it."""


class Envelope(msgspec.Struct, frozen=True):
    """What every answer has in common."""

    status: Scalar = None
    code: Scalar = None
    message: Scalar = None
    results: msgspec.Raw = msgspec.Raw(b"null")


class _Result(msgspec.Struct, frozen=True):
    phone_number: Scalar = None
    call_id: Scalar = None


class _Page(msgspec.Struct, frozen=True):
    calls: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET
    total: Scalar = None


class _Row(msgspec.Struct, frozen=True):
    call_id: Scalar = None
    caller_id: Scalar = None
    callee_id: Scalar = None
    called_at: Scalar = None
    duration: Scalar = None
    key_press: Scalar = None
    note: Scalar = None
    state: Scalar = None


class _Token(msgspec.Struct, frozen=True):
    access_token: str


class _Claims(msgspec.Struct, frozen=True):
    exp: Scalar = None


_envelope = msgspec.json.Decoder(Envelope)
_list = msgspec.json.Decoder(list[msgspec.Raw] | None)
_result = msgspec.json.Decoder(_Result)
_page = msgspec.json.Decoder(_Page)
_row = msgspec.json.Decoder(_Row)
_token = msgspec.json.Decoder(_Token)
_claims = msgspec.json.Decoder(_Claims)

_X_OF_Y = re.compile(r"([0-9]{1,9})\s+trên\s+([0-9]{1,9})")
_ASIDE = re.compile(r"\([^)]*\)")
_KEY = re.compile(r"[0-9*#]")
_BELIEVABLE_YEARS = range(2000, 3000)
"""Before them stand the `1970-01-01` and the like that databases write for no time at all."""


def import_body(
    access_token: str, contacts: Sequence[Contact], number_format: NumberFormat
) -> tuple[bytes, str]:
    """The body of an import and its media type: the one place that decides that it is JSON and not a form."""
    elements = [_element(contact, number_format) for contact in contacts]
    body = msgspec.json.encode({"access_token": access_token, "contacts": elements})
    return body, "application/json; charset=utf-8"


def _element(contact: Contact, number_format: NumberFormat) -> Mapping[str, str]:
    element = {**contact.variables, "phone_number": as_provider_spelling(contact.phone_number, number_format)}
    if contact.otp_code is not None:
        element["otp_code"] = contact.otp_code.reveal()
    return element


def is_done(envelope: Envelope) -> bool:
    """The provider says that it did what was asked."""
    return envelope.status in (1, "1")


def is_refused(envelope: Envelope) -> bool:
    """The provider says that it did not."""
    return envelope.status in (0, "0")


def read_envelope(body: bytes) -> Envelope | None:
    """The frame of any answer; None where the body is no JSON object with a `status`."""
    try:
        envelope = _envelope.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return None if envelope.status is None else envelope


def read_receipt(envelope: Envelope) -> ImportReceipt:
    """The answer to an import that was done. Raises NotTheDocument where it does not tell who was taken."""
    claimed, total = _counts(as_text(envelope.message))
    elements = _decoded(_list, envelope.results)
    if elements is None and claimed != 0:
        raise NotTheDocument
    taken = [_taken(element) for element in elements or ()]
    known = tuple(one for one in taken if one is not None)
    return ImportReceipt(known, claimed, total, unreadable=len(taken) - len(known))


def _counts(message: str) -> tuple[int | None, int | None]:
    found = _X_OF_Y.search(message)
    return (int(found[1]), int(found[2])) if found else (None, None)


def _taken(element: msgspec.Raw) -> Taken | None:
    try:
        result = _result.decode(element)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    number = _number(result.phone_number)
    return None if number is None else Taken(number, as_text(result.call_id) or None)


def read_page(envelope: Envelope, zone: ZoneInfo) -> ExportPage:
    """A page of an export, its times read as of `zone`. Raises NotTheDocument.

    Nothing to tell may come as an empty list (as PHP writes an empty object), as `calls` that are null, or as a
    `total` of 0 without `calls`. What says neither is no answer: no import may be taken for lost because of it.
    """
    if bytes(envelope.results).split() in ([b"[]"], [b"[", b"]"]):
        return ExportPage((), 0, raw_count=0)
    page = _decoded(_page, envelope.results)
    if page.calls is msgspec.UNSET and _whole(page.total) != 0:
        raise NotTheDocument
    elements = page.calls or ()
    rows = tuple(row for element in elements if (row := _call_row(element, zone)) is not None)
    return ExportPage(rows, _whole(page.total), raw_count=len(elements))


def _call_row(element: msgspec.Raw, zone: ZoneInfo) -> CallRow | None:
    try:
        row = _row.decode(element)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    called_at = _instant(row.called_at, zone)
    key_press = as_text(row.key_press)
    return CallRow(
        call_id=as_text(row.call_id),
        caller_id=as_text(row.caller_id),
        callee=_number(row.callee_id),
        called_at=None if called_at is None else called_at.astimezone(UTC),
        called_at_text=None if called_at is None else called_at.isoformat(timespec="seconds"),
        duration=_whole(row.duration) or 0,
        key_press=key_press,
        keys=tuple(_KEY.findall(_ASIDE.sub(" ", key_press))),
        note=as_text(row.note),
        state=_whole(row.state) or 0,
    )


def read_token(envelope: Envelope) -> str:
    """The access token of an answer. Raises NotTheDocument."""
    token = _decoded(_token, envelope.results).access_token
    if not token or not token.isascii() or not token.isprintable():
        raise NotTheDocument
    return token


def jwt_expiry_ms(token: str) -> int | None:
    """`exp` of a JWT, unverified, in milliseconds since the epoch; None if the token is no JWT or has none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        exp = _claims.decode(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))).exp
    except ValueError:
        return None
    seconds = _whole(exp)
    return None if seconds is None else seconds * 1000


def as_text(value: Scalar) -> str:
    """A number or string as text, `1234` and `"1234"` alike; null is empty."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _whole(value: Scalar) -> int | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        return int(float(value)) if isinstance(value, str) else int(value)
    except (ValueError, OverflowError):
        return None


def _number(value: Scalar) -> str | None:
    return same_number(as_text(value))


def _instant(value: Scalar, zone: ZoneInfo) -> datetime | None:
    """A `called_at` in the account's zone; one that brings its own offset is believed."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    if at.year not in _BELIEVABLE_YEARS:
        return None
    return at.replace(tzinfo=zone) if at.tzinfo is None else at.astimezone(zone)


def _decoded(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw) -> T:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    raise NotTheDocument
