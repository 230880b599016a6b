"""The example of each answer in the OpenAPI document: one message's life, told alike everywhere."""

from __future__ import annotations

from typing import Any

from app.api.answers import DetailedMessage, MessageList
from app.api.batches import BatchAnswer
from app.api.callbacks import CallbackList, EventList, Queued
from app.api.campaigns import CampaignList
from app.api.health import Readiness
from app.message import Message

Json = dict[str, Any]

MESSAGE_EXAMPLE: Json = {
    "id": "msg_06h0z4c5gw06sa7ttaw0ajvt32",
    "campaign": "login-otp",
    "state": "queued",
    "reason": None,
    "phone_number": "+84901234567",
    "reference": "login-8841",
    "metadata": {"session": "c0ffee"},
    "callback_url": "https://checkout.internal/otp-outcomes",
    "accepted_at": "2026-11-24T03:00:00.123Z",
    "expires_at": "2026-11-24T03:02:00.123Z",
    "submitted_at": None,
    "finished_at": None,
    "call": None,
    "revision": 1,
}
CALLBACK_EXAMPLE: Json = {
    "event_id": "evt_06h0z4c5gw06sa7ttaw0ajvt32r4",
    "type": "message.answered",
    "state": "dead",
    "attempts": 10,
    "last_status": 500,
    "last_error": "not a 2xx answer",
    "next_attempt_at": None,
}
_LIST = {"next_cursor": None}
EXAMPLES: dict[type, Json] = {
    Message: MESSAGE_EXAMPLE,
    DetailedMessage: {
        **MESSAGE_EXAMPLE,
        "timeline": [{"at": "2026-11-24T03:00:00.123Z", "event": "accepted", "detail": ""}],
        "callbacks": [CALLBACK_EXAMPLE],
        "callback": CALLBACK_EXAMPLE,
    },
    MessageList: {"data": [MESSAGE_EXAMPLE], **_LIST},
    BatchAnswer: {"accepted": 1, "rejected": 0, "results": [{"status": 202, "message": MESSAGE_EXAMPLE}]},
    CampaignList: {
        "data": [
            {
                "name": "login-otp",
                "kind": "voice_otp",
                "state": "running",
                "reason": None,
                "queued": 0,
                "oldest_queued_at": None,
            }
        ]
    },
    EventList: {
        "data": [
            {
                "id": "evt_06h0z4c5gw06sa7ttaw0ajvt32r4",
                "type": "message.answered",
                "timestamp": "2026-11-24T03:00:09.500Z",
                "data": {**MESSAGE_EXAMPLE, "state": "answered", "revision": 4},
            }
        ],
        "next_cursor": "1795557526819-0",
    },
    CallbackList: {"data": [{**CALLBACK_EXAMPLE, "message_id": MESSAGE_EXAMPLE["id"]}], **_LIST},
    Queued: {"status": "queued"},
    Readiness: {"status": "ready", "redis": "ok", "notes": []},
}
