"""Carries one batch to the provider: mark, import, settle. The one place where a phone may come to ring.

Never imports what Redis was not durably told of, nor after the lease's deadline or a member's expiry. Never sends a
batch again by itself: what happens next is written into the store, and the next lease does it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, Unpack

import structlog

from app.message import Reason, State
from app.provider.client import AccessToken, Contact
from app.provider.errors import Ambiguous, NotSent, Refusal, Refused
from app.store.batches import SENDING_MARGIN_MS, Settlement
from app.store.faults import StoreError
from workers.lease_kept import lease_kept
from workers.tokens import AccountLockedError, TokenUnavailableError

if TYPE_CHECKING:
    from app.config import AccountConfig
    from app.provider.client import ImportReceipt, ProviderClient
    from app.store.batches import Batch, Batches, Hold, Tally
    from app.store.tokens import SharedToken
    from app.telemetry.metrics import Metrics
    from workers.tokens import TokenKeeper

T = TypeVar("T")

log = structlog.get_logger()

_PAUSES_S = {
    "campaign_stopped": (0.5, 3.0),
    "campaign_invalid": (2.0, 30.0),
    "provider_unavailable": (0.25, 5.0),
}
"""First and longest pause before a campaign that is held is probed again."""
_LONGEST_ASKED_S = 60.0
"""How long a `Retry-After` may hold a campaign without a probe."""
_SETTLE_PAUSE_S = 0.2


class Carrier:
    """Imports batches of one account's campaigns."""

    def __init__(
        self,
        account: AccountConfig,
        client: ProviderClient,
        keeper: TokenKeeper,
        batches: Batches,
        metrics: Metrics,
    ) -> None:
        self._client = client
        self._keeper = keeper
        self._batches = batches
        self._metrics = metrics
        self._lease_ms = round(account.timeout.total_seconds() * 1000) + SENDING_MARGIN_MS

    async def carry(self, batch: Batch) -> None:
        """Imports the batch and settles it, whatever comes."""
        try:
            async with lease_kept(self._batches, batch):
                token = await self._keeper.get()
        except AccountLockedError:
            await self._settle(batch, "requeue", "0")
            return
        except TokenUnavailableError as error:
            await self._requeue(batch, "provider_unavailable", str(error), at_least_s=error.retry_after_s)
            return
        asked = time.monotonic()
        marked = await self._batches.mark_sending(batch, lease_ms=self._lease_ms)
        if marked is None:
            log.warning("lease lost before the import, nothing sent", batch=batch.batch_id)
            return
        sent_at_ms, going = marked
        batch = replace(batch, members=tuple(one for one in batch.members if one.message_id in going))
        if batch.members:
            await self._import(batch, token, sent_at_ms, asked)

    async def _import(self, batch: Batch, token: SharedToken, sent_at_ms: int, asked: float) -> None:
        first_expiry_ms = min(one.expires_at_ms for one in batch.members)
        deadline = asked + min(self._lease_ms - SENDING_MARGIN_MS, first_expiry_ms - sent_at_ms) / 1000
        self._observe(batch, sent_at_ms)
        started = time.monotonic()
        try:
            receipt = await self._client.import_contacts(
                batch.campaign.campaign_id,
                AccessToken(token.value, token.expires_at_ms),
                [Contact(one.phone_number, one.otp_code, one.variables) for one in batch.members],
                may_leave=lambda: time.monotonic() < deadline,
            )
        except Refused as refused:
            self._count(batch, refused.code.name.lower(), started)
            await self._refused(batch, refused, token)
        except NotSent as error:
            self._count(batch, "not_sent", started)
            if time.monotonic() >= deadline:
                await self._settle(batch, "requeue", "0")
            else:
                await self._requeue(batch, "provider_unavailable", error.detail)
        except Ambiguous as error:
            self._count(batch, "ambiguous", started)
            log.warning("import ambiguous, asking the export", batch=batch.batch_id, error=error.detail)
            held = await self._hold(batch, "provider_unavailable", error.detail)
            await self._settle(batch, "ambiguous", error.detail, **held)
        else:
            self._count(batch, "done", started)
            await self._taken(batch, receipt)

    async def _taken(self, batch: Batch, receipt: ImportReceipt) -> None:
        by_number = {one.phone_number: one.message_id for one in batch.members}
        taken = {
            by_number[one.phone_number]: one.call_id or ""
            for one in receipt.taken
            if one.phone_number in by_number
        }
        certain = not receipt.unreadable and receipt.claimed in (None, len(receipt.taken))
        others = "missing" if certain else "ambiguous"
        detail = "the answer counts another number of contacts than it lists"
        runs = "release" if taken or certain else ""
        tally = await self._settle(batch, others, detail, taken=taken, hold=runs)
        if tally is not None:
            log.info(
                "import settled",
                batch=batch.batch_id,
                campaign=batch.campaign.name,
                taken=tally.taken,
                rejected=tally.rejected,
                requeued=tally.requeued,
                ambiguous=tally.ambiguous,
            )

    async def _refused(self, batch: Batch, refused: Refused, token: SharedToken) -> None:
        match refused.code:
            case Refusal.TOKEN | Refusal.SECRET_KEY:
                if await self._once_redis_is_there(batch, lambda: self._keeper.refused(token)):
                    await self._requeue(batch, "provider_unavailable", "a fresh token was refused")
                else:
                    await self._settle(batch, "requeue", "0")
            case Refusal.CONTACTS | Refusal.TOO_LARGE:
                await self._split(batch, too_large=refused.code is Refusal.TOO_LARGE)
            case Refusal.CAMPAIGN:
                await self._requeue(batch, "campaign_invalid", "the provider does not know its campaign_id")
            case Refusal.STOPPED:
                await self._requeue(batch, "campaign_stopped", "start it on the provider's website")
            case Refusal.THROTTLED:
                await self._requeue(
                    batch, "provider_unavailable", refused.detail, at_least_s=refused.retry_after_s
                )

    async def _split(self, batch: Batch, *, too_large: bool) -> None:
        """One half after the other: whoever refuses everything is found out by a few contacts, not by all."""
        if len(batch.members) == 1:
            await self._lone_refused(batch)
            return
        halves = await self._once_redis_is_there(
            batch, lambda: self._batches.split(batch, smaller_from_now=too_large)
        )
        if halves is None:
            return
        log.info("batch refused as a whole, split", batch=batch.batch_id, contacts=len(batch.members))
        async with lease_kept(self._batches, halves[1]):
            await self.carry(halves[0])
        if (await self._found_held(halves[1])).reason is None:
            await self.carry(halves[1])
        else:
            await self._settle(halves[1], "requeue", "0")

    async def _lone_refused(self, batch: Batch) -> None:
        if (await self._found_held(batch)).reason == "campaign_invalid":
            # Whatever it is given is refused: not this contact's fault. Others are tried before it is again.
            held = await self._hold(batch, "campaign_invalid", "contacts are refused whatever is in them")
            await self._settle(batch, "requeue", str(held["probe_after_ms"]), **held)
            return
        log.warning("contact refused", batch=batch.batch_id, message_id=batch.members[0].message_id)
        pause_ms = round(_pause_s("campaign_invalid", 0) * 1000)
        await self._settle(batch, "rejected", "invalid_contact", lone=True, probe_after_ms=pause_ms)

    async def _requeue(self, batch: Batch, reason: str, why: str, *, at_least_s: float | None = None) -> None:
        held = await self._hold(batch, reason, why, at_least_s=at_least_s)
        await self._settle(batch, "requeue", "0", **held)

    async def _hold(
        self, batch: Batch, reason: str, why: str, *, at_least_s: float | None = None
    ) -> Settlement:
        """How the campaign is to be held: until a probe, after a pause that grows with each that failed."""
        made = (await self._found_held(batch)).probes
        pause_s = max(_pause_s(reason, made), min(at_least_s or 0, _LONGEST_ASKED_S))
        log.warning(
            "campaign held",
            campaign=batch.campaign.name,
            reason=reason,
            why=why,
            probe_in_s=round(pause_s, 2),
            contacts=len(batch.members),
        )
        return Settlement(hold=reason, probe_after_ms=round(pause_s * 1000))

    async def _found_held(self, batch: Batch) -> Hold:
        return await self._once_redis_is_there(batch, lambda: self._batches.hold_of(batch.campaign.name))

    async def _settle(
        self,
        batch: Batch,
        others: str,
        argument: str = "",
        **became: Unpack[Settlement],
    ) -> Tally | None:
        tally = await self._once_redis_is_there(
            batch, lambda: self._batches.settle(batch, others, argument, **became)
        )
        self._tally(batch, tally)
        if tally is not None and tally.rejected:
            reason = argument if others == "rejected" else Reason.NOT_ACCEPTED
            labels = {"campaign": batch.campaign.name, "state": State.REJECTED, "reason": reason}
            self._metrics.outcomes.labels(**labels).inc(tally.rejected)
        return tally

    async def _once_redis_is_there(self, batch: Batch, ask: Callable[[], Awaitable[T]]) -> T:
        """An answer of the provider that is in hand is kept while the process lives."""
        while True:
            try:
                return await ask()
            except StoreError as error:
                log.warning(
                    "import's answer kept until redis is back", batch=batch.batch_id, error=str(error)
                )
                await asyncio.sleep(_SETTLE_PAUSE_S * random.uniform(1, 3))  # noqa: S311  jitter

    def _tally(self, batch: Batch, tally: Tally | None) -> None:
        if tally is None:
            log.warning("lease lost before the settle, nothing written", batch=batch.batch_id)
            return
        for result in ("taken", "rejected", "requeued", "ambiguous"):
            if count := getattr(tally, result):
                self._metrics.contacts.labels(campaign=batch.campaign.name, result=result).inc(count)

    def _observe(self, batch: Batch, sent_at_ms: int) -> None:
        self._metrics.batch_size.labels(campaign=batch.campaign.name).observe(len(batch.members))
        delay = self._metrics.submit_delay_seconds.labels(campaign=batch.campaign.name)
        for one in batch.members:
            delay.observe((sent_at_ms - one.accepted_at_ms) / 1000)

    def _count(self, batch: Batch, result: str, started: float) -> None:
        self._metrics.imports.labels(campaign=batch.campaign.name, result=result).inc()
        self._metrics.import_seconds.labels(campaign=batch.campaign.name).observe(time.monotonic() - started)


def _pause_s(reason: str, made: int) -> float:
    first, longest = _PAUSES_S[reason]
    return float(min(first * 1.5**made, longest)) * random.uniform(0.9, 1.1)  # noqa: S311  jitter
