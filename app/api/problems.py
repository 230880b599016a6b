"""Every problem that the API answers with: RFC 9457, from one table.

The documentation and the OpenAPI document are made from the table. A problem never repeats what was sent, and never
says more of the inside than its row does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec

from app.intake.faults import FieldFault

BASE = "https://otp-relay.dev/problems/"
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem. `says` is the detail where a request has none of its own."""

    slug: str
    status: int
    title: str
    says: str

    @property
    def type(self) -> str:
        return BASE + self.slug


def _kind(slug: str, status: HTTPStatus, title: str, says: str) -> Kind:
    return Kind(slug, status.value, title, says)


NOT_JSON = _kind("not-json", HTTPStatus.BAD_REQUEST, "Not JSON", "The body must be JSON in UTF-8.")
BAD_REQUEST = _kind("bad-request", HTTPStatus.BAD_REQUEST, "Bad request", "The request cannot be understood.")
UNAUTHORIZED = _kind(
    "unauthorized",
    HTTPStatus.UNAUTHORIZED,
    "Not authorised",
    "Send a client's key in the header Authorization: Bearer <key>.",
)
FORBIDDEN = _kind(
    "forbidden",
    HTTPStatus.FORBIDDEN,
    "Campaign not allowed",
    "The campaign is not one that this client may use.",
)
NOT_FOUND = _kind(
    "not-found", HTTPStatus.NOT_FOUND, "Not found", "There is no such thing, or it is not this client's."
)
METHOD_NOT_ALLOWED = _kind(
    "method-not-allowed",
    HTTPStatus.METHOD_NOT_ALLOWED,
    "Method not allowed",
    "The header Allow names the methods of this path.",
)
NOT_CANCELLABLE = _kind(
    "not-cancellable",
    HTTPStatus.CONFLICT,
    "Too late to cancel",
    "The message is on its way or has ended: only one that is still queued can be cancelled.",
)
NO_CALLBACK = _kind(
    "no-callback",
    HTTPStatus.CONFLICT,
    "No callback to replay",
    "The event's message names no callback URL, so there is nowhere to send it.",
)
REQUEST_TOO_SLOW = _kind(
    "request-too-slow",
    HTTPStatus.REQUEST_TIMEOUT,
    "Request too slow",
    "The request took too long to arrive: its head may take 10 seconds, its body 30.",
)
HEAD_TOO_LARGE = _kind(
    "head-too-large",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "Request head too large",
    "Request line and headers may have 32 KiB together, and there may be 100 headers.",
)
BODY_TOO_LARGE = _kind(
    "body-too-large",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "Body too large",
    "The body is larger than is taken here.",
)
UNSUPPORTED_MEDIA_TYPE = _kind(
    "unsupported-media-type",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "Unsupported media type",
    "Send application/json in UTF-8, not compressed.",
)
INVALID_REQUEST = _kind(
    "invalid-request",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "Invalid request",
    "Each of errors names a field that is at fault, and says what is expected.",
)
IDEMPOTENCY_CONFLICT = _kind(
    "idempotency-conflict",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "Idempotency key used before",
    "The Idempotency-Key was used with another body: send this one under a key of its own.",
)
RATE_LIMITED = _kind(
    "rate-limited",
    HTTPStatus.TOO_MANY_REQUESTS,
    "Rate limit used up",
    "Ask again after the seconds of Retry-After.",
)
INTERNAL_ERROR = _kind(
    "internal-error",
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "Internal error",
    "A fault of ours; the log has it under the fault_id.",
)
UNAVAILABLE = _kind(
    "unavailable",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Unavailable",
    "The store cannot be reached or takes no writes; nothing was accepted. Ask again after Retry-After.",
)
OUTCOME_UNKNOWN = _kind(
    "outcome-unknown",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Outcome unknown",
    "The connection broke after the write was sent. The same request under its Idempotency-Key, or GET of the id, "
    "tells whether it was taken.",
)

CAMPAIGN_DRAINING = _kind(
    "campaign-draining",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Campaign is drained",
    "An operator has this campaign drained: it takes no new messages until it is resumed. Nothing was accepted; "
    "ask again after Retry-After.",
)

KINDS: tuple[Kind, ...] = (
    NOT_JSON,
    BAD_REQUEST,
    UNAUTHORIZED,
    FORBIDDEN,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    NOT_CANCELLABLE,
    NO_CALLBACK,
    REQUEST_TOO_SLOW,
    HEAD_TOO_LARGE,
    BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    INVALID_REQUEST,
    IDEMPOTENCY_CONFLICT,
    RATE_LIMITED,
    INTERNAL_ERROR,
    UNAVAILABLE,
    OUTCOME_UNKNOWN,
    CAMPAIGN_DRAINING,
)


@dataclass(slots=True, eq=False)
class Problem(Exception):
    """An answer that says why not. Raise it anywhere under a route."""

    kind: Kind
    detail: str | None = None
    errors: Sequence[FieldFault] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, object] = field(default_factory=dict)
    """Further members of the document, such as `id`."""

    def document(self) -> dict[str, object]:
        """The members of RFC 9457, and our own."""
        kind = self.kind
        document: dict[str, object] = {
            "type": kind.type,
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail or kind.says,
            **self.members,
        }
        if self.errors:
            document["errors"] = [{"pointer": one.pointer, "detail": one.detail} for one in self.errors]
        return document

    def encoded(self) -> bytes:
        return msgspec.json.encode(self.document())


def invalid(pointer: str, detail: str) -> Problem:
    """One field, parameter or header that is at fault."""
    return Problem(INVALID_REQUEST, errors=(FieldFault(pointer, detail),))


def unavailable(detail: str | None = None, *, retry_after_s: int = 1) -> Problem:
    return Problem(UNAVAILABLE, detail, headers={"retry-after": str(retry_after_s)})
