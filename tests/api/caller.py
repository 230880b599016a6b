"""A configuration of two clients, and an API on it, asked in this process."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx

from app.config import Config, parse_config
from app.main import create_app

CHECKOUT, SHOP, SLOW, ADMIN = (
    "checkout-key-0123456789",
    "shop-key-0123456789",
    "slow-key-0123456789",
    "admin-key-012345678",
)
CODE = "004217"
NUMBER = "0901 234 567"
SIGNING_SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()


def _digest(key: str) -> str:
    return f'["sha256:{hashlib.sha256(key.encode()).hexdigest()}"]'


def config_text(redis_url: str) -> str:
    return f"""
[redis]
url = "{redis_url}"
[provider.accounts.main]
base_url = "https://provider.invalid"
secret_key = "provider-secret"
[campaigns.login-otp]
account = "main"
campaign_id = "1"
kind = "voice_otp"
per_number_limit = "50/10m"
[campaigns.order-notice]
account = "main"
campaign_id = "2"
kind = "notification"
per_number_limit = "2/10m"
max_queued = 3
[clients.checkout]
api_keys = {_digest(CHECKOUT)}
campaigns = ["login-otp", "order-notice"]
callback_allow = ["https://checkout.internal"]
signing_secrets = ["{SIGNING_SECRET}"]
rate_limit = "5000/s"
[clients.shop]
api_keys = {_digest(SHOP)}
campaigns = ["login-otp"]
callback_url = "https://shop.internal/otp"
callback_allow = ["https://shop.internal"]
signing_secrets = ["{SIGNING_SECRET}"]
[clients.slow]
api_keys = {_digest(SLOW)}
campaigns = ["login-otp"]
signing_secrets = ["{SIGNING_SECRET}"]
rate_limit = "1/1m"
[storage]
encryption_keys = ["{base64.b64encode(bytes(range(32))).decode()}"]
[admin]
api_keys = {_digest(ADMIN)}
"""


def config(redis_url: str) -> Config:
    return parse_config(config_text(redis_url), file="relay.toml", env={})


def body(**changes: object) -> dict[str, object]:
    """A message that is taken, with fields changed; None leaves a field out."""
    fields: dict[str, object] = {
        "campaign": "login-otp", "phone_number": NUMBER, "otp_code": CODE,
        "variables": {"ho_ten": "Nguyễn Văn A"}, "callback_url": "https://checkout.internal/otp?t=1",
        "expires_in": 120, "reference": "login-8841", "metadata": {"session": "c0ffee"},
    }  # fmt: skip
    return {name: value for name, value in (fields | changes).items() if value is not None}


class Api:
    """The API as a caller sees it."""

    def __init__(self, http: httpx.AsyncClient, app: Any) -> None:
        self.http = http
        self.app = app

    async def ask(self, method: str, path: str, *, key: str | None = CHECKOUT, **more: Any) -> httpx.Response:
        headers = dict(more.pop("headers", {}))
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        return await self.http.request(method, path, headers=headers, **more)

    async def send(
        self, message: object, *, idempotency_key: str | None = None, **more: Any
    ) -> httpx.Response:
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        return await self.ask("POST", "/v1/messages", json=message, headers=headers, **more)

    async def accepted(self, **changes: object) -> dict[str, Any]:
        """The answer to a message that was taken."""
        answer = await self.send(body(**changes))
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found


@contextlib.asynccontextmanager
async def open_api(redis_url: str) -> AsyncIterator[Api]:
    """The API on that Redis. One task opens and closes it, for a fixture's end runs in another than its start."""
    app = create_app(config(redis_url))
    started, done = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            started.set()
            await done.wait()

    life = asyncio.create_task(live())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({life, waiting}, return_when=asyncio.FIRST_COMPLETED)
    transport = httpx.ASGITransport(app=cast("Any", app), raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://relay") as http:
            yield Api(http, app)
    finally:
        waiting.cancel()
        done.set()
        await life


def faults_of(answer: httpx.Response) -> dict[str, str]:
    """The faults of a 422, by pointer."""
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return {one["pointer"]: one["detail"] for one in answer.json()["errors"]}
