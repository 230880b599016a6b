"""Pushes due events to their callback URLs: signed, one lease an attempt, a destination its own slots only."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from typing import TYPE_CHECKING

import structlog

from app.callbacks.delivery import Attempt, Verdict
from app.callbacks.schedule import next_attempt_ms
from app.callbacks.signing import SigningKeyFault
from app.message import CallbackState
from app.store.faults import StoreError
from workers.slots import Slots

if TYPE_CHECKING:
    from app.config import CallbacksConfig
    from app.store.events import DueEvent
    from workers.crew import Crew
    from workers.parts import Parts

log = structlog.get_logger()

_LEASE_MARGIN_MS = 5_000
_IDLE_S = 5.0
_SETTLE_PAUSE_S = 0.2
_MOST_REPLAYED = 100_000


class Pusher:
    """This worker's share of the deliveries."""

    def __init__(self, parts: Parts, crew: Crew) -> None:
        self.woken = asyncio.Event()
        self._parts = parts
        self._callbacks: CallbacksConfig = parts.config.callbacks
        self._crew = crew
        self._slots = Slots(self._callbacks.concurrency_per_destination)
        self._rng = random.Random()  # noqa: S311  jitter
        self._lease_ms = round(self._callbacks.timeout.total_seconds() * 1000) + _LEASE_MARGIN_MS

    async def run(self) -> None:
        """Until the crew stops."""
        while not self._crew.stopping.is_set():
            wait_ms: int | None = None
            due: list[DueEvent] = []
            lease_ends = time.monotonic() + self._lease_ms / 1000
            if (room := self._slots.room()) is not None:
                wait_ms, due = await self._parts.events.claim(
                    most=room.most,
                    slots=room.slots,
                    slots_of=room.slots_of,
                    share=room.share,
                    whole=room.whole,
                    held=room.held,
                    lease_ms=self._lease_ms,
                    fence=secrets.token_hex(8),
                )
            for event in due:
                self._slots.take(event.client)
                self._crew.start(f"callback {event.event_id}", self._deliver(event, lease_ends))
            if not due:
                wait_s = _IDLE_S if wait_ms is None else min(max(wait_ms, 5) / 1000, _IDLE_S)
                await self._crew.wait_for(self.woken, wait_s)

    async def _deliver(self, event: DueEvent, lease_ends: float) -> None:
        try:
            if time.monotonic() < lease_ends:
                attempt = await self._attempt(event)
                self._learn(event, attempt)
                await self._settle(event, attempt, lease_ends)
            else:
                _lost(event, "before the attempt")
        finally:
            self._slots.give_back(event.client)
            self.woken.set()

    def _learn(self, event: DueEvent, attempt: Attempt) -> None:
        if attempt.status is not None:
            self._slots.answered(event.destination, more_waited=event.more_waited)
        elif not attempt.refused:
            self._slots.unanswered(event.destination)

    async def _attempt(self, event: DueEvent) -> Attempt:
        signer, policy = self._parts.signers.get(event.client), self._parts.policies.get(event.client)
        if signer is None or policy is None:
            return _not_sent("the client is not configured")
        if not event.body:
            return _not_sent("the record cannot be opened: an encryption key is missing")
        try:
            headers = signer.headers(event.event_id, int(time.time()), event.body)
        except SigningKeyFault:
            return _not_sent("a signing secret of the client is malformed")
        headers["content-type"] = "application/json"
        if event.traceparent:
            headers["traceparent"] = event.traceparent
        return await self._parts.sender.send(event.url, policy, headers, event.body)

    async def _settle(self, event: DueEvent, attempt: Attempt, lease_ends: float) -> None:
        verdict, retry_in_ms = self._verdict(event, attempt)
        metrics = self._parts.metrics
        metrics.callback_attempts.labels(client=event.client, result=verdict).inc()
        metrics.callback_seconds.labels(client=event.client).observe(attempt.took_s)
        if not await self._written(event, attempt, verdict, retry_in_ms, lease_ends):
            _lost(event, "before the settle")
            return
        if verdict == "delivered":
            delay_s = max(0.0, time.time() - event.made_at_ms / 1000)
            metrics.callback_delay_seconds.labels(client=event.client).observe(delay_s)
        level = log.debug if verdict == "delivered" else log.warning
        level(
            f"callback {verdict}",
            message_id=event.message_id,
            event_id=event.event_id,
            client=event.client,
            attempt=event.attempts + 1,
            status=attempt.status,
            error=attempt.error,
            retry_in_s=retry_in_ms / 1000 if verdict == "retry" else None,
        )

    async def _written(
        self, event: DueEvent, attempt: Attempt, verdict: str, retry_in_ms: int, lease_ends: float
    ) -> bool:
        """Writes the verdict as soon as Redis is there, for as long as the lease may last; False: it is another's."""
        while True:
            try:
                return await self._parts.events.settle(
                    event,
                    verdict,
                    status=attempt.status,
                    error=attempt.error,
                    retry_in_ms=retry_in_ms,
                    refused=attempt.refused,
                )
            except StoreError:
                if time.monotonic() > lease_ends:
                    raise
            await asyncio.sleep(_SETTLE_PAUSE_S * self._rng.uniform(1, 3))

    def _verdict(self, event: DueEvent, attempt: Attempt) -> tuple[str, int]:
        if attempt.verdict is Verdict.DELIVERED:
            return "delivered", 0
        if attempt.verdict is Verdict.GONE:
            return "dead", 0
        next_ms = next_attempt_ms(
            self._callbacks.retry_schedule, event.attempts + 1, 0, attempt.retry_after_s, self._rng
        )
        return ("dead", 0) if next_ms is None else ("retry", next_ms)


def _not_sent(error: str) -> Attempt:
    return Attempt(
        verdict=Verdict.RETRY, status=None, error=error, retry_after_s=None, took_s=0.0, refused=True
    )


def _lost(event: DueEvent, when: str) -> None:
    log.warning(
        "callback's lease lost, left to another", event_id=event.event_id, client=event.client, when=when
    )


async def replay_since(
    parts: Parts, client: str, since_ms: int, state: str, destination: str | None = None
) -> int:
    """Sends the client's events since then again, as far as their delivery is in that state; how many."""
    replayed = 0
    for event_id in await parts.events.ids_since(
        client, since_ms, CallbackState(state), most=_MOST_REPLAYED, destination=destination
    ):
        if await parts.events.replay(client, event_id) == "queued":
            replayed += 1
    log.info("callbacks replayed", client=client, state=state, replayed=replayed)
    return replayed
