"""One message from its parsed body to its answer: what POST and each item of a batch have in common."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from app.api.problems import CAMPAIGN_DRAINING, IDEMPOTENCY_CONFLICT, OUTCOME_UNKNOWN, Problem, unavailable
from app.api.rate_headers import accepted_headers, limited_problem
from app.intake.faults import BodyFault, CampaignForbidden
from app.intake.reading import Sent, read_draft
from app.message import Message, mask_number
from app.store.faults import OutcomeUnknownError
from app.store.messages import Accepted, Draining, KeyConflict, Limited, Replayed, new_message_id

if TYPE_CHECKING:
    from app.api.parts import ApiParts
    from app.intake.callers import Caller

log = structlog.get_logger()
_DRAINED_RETRY_S = 30
"""An operator decides when it is over: nothing is won by asking more often."""
_stdlib_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that is in, now or since an earlier request under the same key."""

    message: Message
    replayed: bool
    headers: dict[str, str]


async def accept_message(parts: ApiParts, caller: Caller, sent: Sent) -> Taken:
    """Takes the message in. `BodyFault`, `CampaignForbidden`, `Problem`, `StoreUnavailableError`."""
    store = parts.store
    try:
        draft = read_draft(sent, caller, datetime.now(UTC))
    except (BodyFault, CampaignForbidden):
        if sent.idempotency_key is not None:
            recalled = await store.recall.of(caller.name, sent.idempotency_key, sent.canonical_body)
            if isinstance(recalled, Replayed):
                return Taken(recalled.message, True, {})
        raise
    message_id = new_message_id()
    try:
        result = await store.messages.accept(draft, message_id)
    except OutcomeUnknownError:
        log.warning("acceptance not confirmed", message_id=message_id, client=caller.name)
        raise Problem(OUTCOME_UNKNOWN, headers={"retry-after": "1"}, members={"id": message_id}) from None
    match result:
        case Accepted():
            parts.metrics.accepted.labels(caller.name, result.message.campaign).inc()
            if _stdlib_log.isEnabledFor(logging.DEBUG):  # what is dropped shall cost nothing
                log.debug(
                    "message accepted",
                    message_id=message_id,
                    client=caller.name,
                    campaign=result.message.campaign,
                    phone=mask_number(result.message.phone_number),
                )
            headers = accepted_headers(caller.config.rate_limit, result.remaining, result.more_in_ms)
            return Taken(result.message, False, headers)
        case Replayed():
            parts.metrics.replayed.labels(client=caller.name).inc()
            return Taken(result.message, True, {})
        case KeyConflict():
            raise Problem(IDEMPOTENCY_CONFLICT)
        case Draining():
            raise Problem(CAMPAIGN_DRAINING, headers={"retry-after": str(_DRAINED_RETRY_S)})
        case Limited():
            raise limited_problem(result)
        case _:
            raise unavailable("The campaign's queue is full.")
