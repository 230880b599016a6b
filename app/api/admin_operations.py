"""What the OpenAPI document says of /v1/admin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.api import problems
from app.api.admin_actions import ActionList
from app.api.admin_callbacks import CALLBACK_STATES, AdminCallbackList
from app.api.admin_campaigns import AdminCampaign, AdminCampaignList
from app.api.admin_examples import ADMIN_MESSAGE_EXAMPLE
from app.api.admin_fields import CAMPAIGN_ACTION_FIELDS, REDRIVE_FIELDS, REPLAY_ONE_FIELDS
from app.api.admin_messages import AdminMessageDetail, AdminMessageList
from app.api.callbacks import Queued
from app.api.examples import CALLBACK_EXAMPLE
from app.api.operation import Operation, example_of, limits, object_of, path, query
from app.message import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.api.examples import Json

_BODY_ERRORS = (
    problems.NOT_JSON, problems.BODY_TOO_LARGE, problems.UNSUPPORTED_MEDIA_TYPE, problems.INVALID_REQUEST,
)  # fmt: skip
_CLIENT = query("client", "Of this client alone.")


def _page() -> tuple[Json, Json]:
    return query("limit", "", limits(100, 20)), query("cursor", "`next_cursor` of the page before.")


def _verb(verb: str, says: str) -> Operation:
    return Operation(
        method="post", path=f"/v1/admin/campaigns/{{name}}/{verb}", name=f"{verb}Campaign", says=says,
        answer=AdminCampaign, parameters=(path("name", "login-otp"),), body=object_of(CAMPAIGN_ACTION_FIELDS),
        body_example=example_of(CAMPAIGN_ACTION_FIELDS), admin=True,
        errors=(*_BODY_ERRORS, problems.NOT_FOUND, problems.OUTCOME_UNKNOWN),
    )  # fmt: skip


def admin_operations() -> Sequence[Operation]:
    """Each asks for an admin key. The POSTs need no Idempotency-Key: what is so already is left so."""
    return (
        Operation(
            method="get", path="/v1/admin/campaigns", name="adminListCampaigns", answer=AdminCampaignList, admin=True,
            says="List every campaign, over all clients", errors=(problems.INVALID_REQUEST,),
        ),
        _verb("pause", "Import nothing more of a campaign; messages are taken, wait, and expire"),
        _verb("drain", "Take no new messages of a campaign; what is queued still goes out"),
        _verb("resume", "End a campaign's pause and its drain"),
        Operation(
            method="get", path="/v1/admin/messages", name="adminListMessages", answer=AdminMessageList, admin=True,
            says="List messages of all clients by number, reference or state, newest first; numbers are masked",
            errors=(problems.INVALID_REQUEST,),
            parameters=(
                query("phone_number", "Either this,"), query("reference", "or this, or a state alone."),
                query("state", "In this state now.", {"type": "string", "enum": [one.value for one in State]}),
                _CLIENT, query("campaign", "Of this campaign alone."), *_page(),
            ),
        ),
        Operation(
            method="get", path="/v1/admin/messages/{message_id}", name="adminShowMessage", answer=AdminMessageDetail,
            says="Show a message of any client with its history; its number is masked", admin=True,
            parameters=(path("message_id", ADMIN_MESSAGE_EXAMPLE["id"]),),
            errors=(problems.NOT_FOUND, problems.INVALID_REQUEST),
        ),
        Operation(
            method="get", path="/v1/admin/callbacks", name="adminListCallbacks", answer=AdminCallbackList, admin=True,
            says="List deliveries of all clients by state, newest first", errors=(problems.INVALID_REQUEST,),
            parameters=(
                query("state", "", {"type": "string", "enum": list(CALLBACK_STATES), "default": "dead"}),
                _CLIENT, query("destination", "To this scheme, host and port alone."), *_page(),
            ),
        ),
        Operation(
            method="post", path="/v1/admin/callbacks/{event_id}/replay", name="adminReplayCallback", answer=Queued,
            says="Send one event of any client again", status=202, admin=True,
            parameters=(path("event_id", CALLBACK_EXAMPLE["event_id"]),), body=object_of(REPLAY_ONE_FIELDS),
            body_example=example_of(REPLAY_ONE_FIELDS), body_optional=True,
            errors=(*_BODY_ERRORS, problems.NOT_FOUND, problems.NO_CALLBACK, problems.OUTCOME_UNKNOWN),
        ),
        Operation(
            method="post", path="/v1/admin/callbacks/replay", name="adminReplayCallbacks", answer=Queued,
            says="Send events since a time again, of all clients and destinations or one", status=202, admin=True,
            body=object_of(REDRIVE_FIELDS), body_example=example_of(REDRIVE_FIELDS),
            errors=(*_BODY_ERRORS, problems.OUTCOME_UNKNOWN),
        ),
        Operation(
            method="get", path="/v1/admin/actions", name="listActions", answer=ActionList, admin=True,
            says="The log of operators' actions, newest first", errors=(problems.INVALID_REQUEST,), parameters=_page(),
        ),
    )  # fmt: skip
