"""The load: messages at a steady rate, each sent under its idempotency key until somebody says 202.

Whoever is refused, reset or answered 503 asks another API with the same key, as the callers' page says.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.canaries.planted import CODE, api_key

KEY = api_key("chaos")
GIVE_UP_S = 40.0
_ORDINARY_SHARE, _AGAIN_SHARE = 0.72, 0.04
_ENDINGS = ("0001", "0002", "0005", "0007", "0008", "0021", "0022", "0024", "0031", "0032", "0043", "0044")
_POISONED = "0044"


@dataclass(slots=True)
class Sent:
    """One message of the load, and what its POST came to."""

    ref: str
    number: str
    campaign: str
    code: str | None
    message_id: str | None = None
    tries: int = 0
    took_s: float = 0.0
    answers: list[str] = field(default_factory=list)

    @property
    def ending(self) -> str:
        """What the sandbox makes the outcome from."""
        return self.number[-4:]


def draw(count: int, rng: random.Random) -> list[Sent]:
    """Up to 4,000 messages of two campaigns: most to numbers that answer, some to each other kind."""
    drawn: list[Sent] = []
    ordinary: list[str] = []
    for n in range(count):
        if ordinary and rng.random() < _AGAIN_SHARE:
            number = rng.choice(ordinary[-200:])
        elif rng.random() < _ORDINARY_SHARE:
            number = f"090{n // 8000:03d}{1000 + n % 8000:04d}"
            ordinary.append(number)
        else:
            # A poisoned contact costs its whole batch some imports: few of them are enough.
            ending = rng.choice(_ENDINGS)
            if ending == _POISONED and rng.random() < 0.8:
                ending = "0001"
            number = f"09{1 + n // 1000}{n % 1000:03d}{ending}"
        otp = rng.random() < 0.7
        campaign = "login-otp" if otp else "order-notice"
        drawn.append(Sent(f"m-{n}", number, campaign, CODE if otp else None))
    return drawn


class Callers:
    """Sends the messages of a run."""

    def __init__(self, api_urls: Sequence[str], session: aiohttp.ClientSession, rng: random.Random) -> None:
        self._urls = api_urls
        self._session = session
        self._rng = rng

    async def send_all(self, messages: Sequence[Sent], rate: float) -> None:
        """At `rate` messages a second, whatever becomes of those before; ends when each was taken, or given up."""
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for n, message in enumerate(messages):
                await asyncio.sleep(started + n / rate - time.monotonic())
                group.create_task(self._send(message))

    async def _send(self, message: Sent) -> None:
        started = time.monotonic()
        at = self._rng.randrange(len(self._urls))
        while time.monotonic() - started < GIVE_UP_S:
            message.tries += 1
            said = await self._try(self._urls[at % len(self._urls)], message)
            message.answers.append(said)
            if message.message_id is not None:
                message.took_s = time.monotonic() - started
                return
            at += 1
            await asyncio.sleep(min(0.05 * 2 ** min(message.tries, 5), 1.0) * self._rng.uniform(0.5, 1.5))

    async def _try(self, url: str, message: Sent) -> str:
        body: dict[str, Any] = {
            "campaign": message.campaign,
            "phone_number": message.number,
            "reference": message.ref,
            "variables": {"ref": message.ref},
            "expires_in": 300,
        }
        if message.code is not None:
            body["otp_code"] = message.code
        headers = {"authorization": f"Bearer {KEY}", "idempotency-key": message.ref}
        try:
            async with self._session.post(f"{url}/v1/messages", json=body, headers=headers) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__
        if answer.status == 202:
            message.message_id = json.loads(text)["id"]
        return str(answer.status)
