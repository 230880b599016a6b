"""The example of each answer of /v1/admin in the OpenAPI document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.api.admin_actions import ActionList
from app.api.admin_callbacks import AdminCallbackList
from app.api.admin_campaigns import AdminCampaign, AdminCampaignList
from app.api.admin_messages import AdminMessageDetail, AdminMessageList
from app.api.examples import CALLBACK_EXAMPLE, MESSAGE_EXAMPLE

if TYPE_CHECKING:
    from app.api.examples import Json

ADMIN_MESSAGE_EXAMPLE: Json = {
    name: value for name, value in MESSAGE_EXAMPLE.items() if name not in ("metadata", "callback_url")
} | {
    "client": "checkout",
    "phone_number": "+84901***567",
    "destination": "https://checkout.internal:443",
}
_WORD: Json = {
    "since": "2026-11-24T03:00:00.123Z",
    "by": "mai@ops",
    "key": "d74ff0ee",
    "reason": "INC-4711: callers report silent calls",
}
_CAMPAIGN: Json = {
    "name": "login-otp",
    "account": "main",
    "kind": "voice_otp",
    "state": "paused",
    "reason": None,
    "queued": 12,
    "oldest_queued_at": "2026-11-24T03:00:01.500Z",
    "imports_under_way": 0,
    "probe_at": None,
    "ceiling": {
        "max_per_hour": 20000,
        "used": 812,
        "on_their_way": 0,
        "next_free_at": "2026-11-24T03:21:00.000Z",
    },
    "paused": _WORD,
    "draining": None,
}
_CALLBACK: Json = {
    **CALLBACK_EXAMPLE,
    "message_id": MESSAGE_EXAMPLE["id"],
    "client": "checkout",
    "destination": "https://checkout.internal:443",
}
_ACTION: Json = {
    "id": "1795489200123-0",
    "at": _WORD["since"],
    "action": "pause",
    "campaign": "login-otp",
    "event_id": None,
    "detail": None,
    "reason": _WORD["reason"],
    "by": _WORD["by"],
    "key": _WORD["key"],
}
_LIST: Json = {"next_cursor": None}
ADMIN_EXAMPLES: dict[type, Json] = {
    AdminCampaign: _CAMPAIGN,
    AdminCampaignList: {"data": [_CAMPAIGN]},
    AdminMessageList: {"data": [ADMIN_MESSAGE_EXAMPLE], **_LIST},
    AdminMessageDetail: {
        **ADMIN_MESSAGE_EXAMPLE,
        "timeline": [{"at": "2026-11-24T03:00:00.123Z", "event": "accepted", "detail": ""}],
        "callbacks": [CALLBACK_EXAMPLE],
    },
    AdminCallbackList: {"data": [_CALLBACK], **_LIST},
    ActionList: {"data": [_ACTION], **_LIST},
}
