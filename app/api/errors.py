"""Which problem an exception is answered with, whoever raised it. No traceback and no inner word leaves here."""

from __future__ import annotations

import secrets

import structlog
from litestar import Response
from litestar.exceptions import HTTPException, MethodNotAllowedException

from app.api.parts import ApiRequest
from app.api.problems import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    FORBIDDEN,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OUTCOME_UNKNOWN,
    Problem,
    unavailable,
)
from app.intake.faults import BodyFault, CampaignForbidden
from app.sealing import UnsealableError
from app.store.faults import OutcomeUnknownError, StoreUnavailableError

log = structlog.get_logger()


def problem_of(error: Exception) -> Problem | None:
    """The problem that an error of ours stands for."""
    match error:
        case Problem():
            return error
        case BodyFault():
            return Problem(INVALID_REQUEST, errors=error.faults)
        case CampaignForbidden():
            return Problem(FORBIDDEN)
        case OutcomeUnknownError():
            return Problem(OUTCOME_UNKNOWN, headers={"retry-after": "1"})
        case StoreUnavailableError() | UnsealableError() | TimeoutError():
            return unavailable()
    return None


def problem_response(request: ApiRequest, error: Exception) -> Response[bytes]:
    """The answer. An error that is not ours is logged under a fault id, and told by it alone."""
    problem = problem_of(error) or _of_litestar(error)
    if isinstance(error, UnsealableError):
        log.error(
            "record cannot be opened, answered 503: is a key missing in [storage] encryption_keys",
            path=request.scope.get("path"),
        )
    if problem is None:
        fault_id = secrets.token_hex(6)
        log.error("request failed", fault_id=fault_id, path=request.scope.get("path"), exc_info=error)
        problem = Problem(INTERNAL_ERROR, members={"fault_id": fault_id})
    metrics = getattr(request.app.state, "metrics", None)
    if metrics is not None:
        metrics.refused.labels(status=str(problem.kind.status), type=problem.kind.slug).inc()
    return Response(
        problem.encoded(),
        status_code=problem.kind.status,
        media_type=MEDIA_TYPE,
        headers={"cache-control": "no-store", "x-content-type-options": "nosniff", **problem.headers},
    )


def _of_litestar(error: Exception) -> Problem | None:
    if not isinstance(error, HTTPException):
        return None
    if isinstance(error, MethodNotAllowedException):
        allowed = sorted({*(error.headers or {}).get("allow", "").split(", ")} - {"OPTIONS"})
        return Problem(METHOD_NOT_ALLOWED, headers={"allow": ", ".join(allowed)})
    match error.status_code:
        case 404:
            return Problem(NOT_FOUND)
        case 413:
            return Problem(BODY_TOO_LARGE)
        case status if 400 <= status < 500:
            return Problem(BAD_REQUEST)
    return None
