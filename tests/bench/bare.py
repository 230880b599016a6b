"""The yardstick: a Litestar handler that reads the same body, checks nothing and keeps nothing.

It is run by the relay's own `run_api`, so that the server's settings are the same and stay so.
"""

from __future__ import annotations

import sys
from typing import cast
from unittest import mock

import msgspec
from litestar import Litestar, post

from app.config import Config
from app.message import Message, MessageId, State
from app.serve import run_api


class Body(msgspec.Struct):
    """What the load sends."""

    campaign: str
    phone_number: str
    otp_code: str
    expires_in: int
    reference: str
    metadata: dict[str, str]


@post("/v1/messages", status_code=202)
async def take(data: Body) -> Message:
    """An answer as the relay's, made of the body alone."""
    return Message(
        id=MessageId("msg_01krsh9cw4hpt3zq3ndz4xk7vm"),
        campaign=data.campaign,
        state=State.QUEUED,
        reason=None,
        phone_number=data.phone_number,
        reference=data.reference,
        metadata=data.metadata,
        callback_url="http://127.0.0.1:9/outcomes",
        accepted_at="2026-11-24T03:00:00.000Z",
        expires_at="2026-11-24T03:02:00.000Z",
        submitted_at=None,
        finished_at=None,
        call=None,
        revision=1,
    )


def main() -> int:
    """Serves until a signal ends it, and logs its URL as `otp-relay api` does."""
    app = Litestar([take], openapi_config=None, logging_config=None)
    with mock.patch("app.serve.create_app", return_value=app), mock.patch("app.serve._refuse_unfit"):
        return run_api(cast("Config", None), "127.0.0.1", 0)


if __name__ == "__main__":
    sys.exit(main())
