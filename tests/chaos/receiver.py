"""The callers' receiver: verifies each callback with the public library, and fails one in twenty on purpose."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

from tests.canaries.planted import SIGNING_SECRET

_FAILS = 0.05


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it was delivered at least once. `times` counts deliveries that were answered 204."""

    event_id: str
    type: str
    message: dict[str, Any]
    at_s: float


class Receiver:
    """Keeps the events by id."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._webhook = Webhook(SIGNING_SECRET)
        self.events: dict[str, Told] = {}
        self.deliveries = 0
        self.changed: list[str] = []
        """Events that came again with another body, which must not be."""
        self.came = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        """Answers 204, or now and then 500 as if it had not been read."""
        body = await request.read()
        self._webhook.verify(body, dict(request.headers))
        self.deliveries += 1
        if self._rng.random() < _FAILS:
            return web.Response(status=500)
        event_id = request.headers["webhook-id"]
        parsed = json.loads(body)
        told = Told(event_id, parsed["type"], parsed["data"], time.monotonic())
        earlier = self.events.setdefault(event_id, told)
        if (earlier.type, earlier.message) != (told.type, told.message):
            self.changed.append(event_id)
        self.came.set()
        return web.Response(status=204)

    def finals(self) -> dict[str, list[Told]]:
        """The events of final states by message, in the order of their coming."""
        found: dict[str, list[Told]] = {}
        for told in self.events.values():
            if told.type != "message.submitted":
                found.setdefault(told.message["id"], []).append(told)
        return found
