"""Collects outcomes: asks each source's export while something waits for one, and gives every row to the store.

One worker a source at a time. Asks more often when calls are young, and never when nothing is in flight. Owns the
decision that an ambiguous import was not taken: only when its window has passed and a whole export, begun after
that, showed no row of it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

import structlog

from app.message import Call, Reason
from app.provider.client import AccessToken
from app.provider.errors import ProviderError, Refusal, Refused
from app.provider.hangup_causes import reason_of
from workers.tokens import AccountLockedError, TokenUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.config import AccountConfig, CampaignConfig
    from app.provider.client import CallRow, ExportPage, ProviderClient
    from app.store.outcomes import Finding, Open, Outcomes
    from app.store.tokens import SharedToken
    from app.telemetry.metrics import Metrics
    from workers.crew import Crew
    from workers.tokens import TokenKeeper

log = structlog.get_logger()

PAGE_ROWS = 500
_MOST_PAGES = 2_000
_BLIND_MARGIN_MS = 300_000
"""How far the provider's clock may be off, as long as no answer has told."""
_LEARNED_MARGIN_MS = 3_000
_QUICKEST_S, _SLOWEST_S = 0.7, 15.0
_AGE_SHARE = 1 / 3
_HOT_MS = 120_000
_COLD_EVERY_S = 60.0
_IDLE_S = 1.0
_LEASE_MS = 20_000
_FAILED_PAUSE_S = (1.0, 5.0)
_REMEMBERED_ROWS = 50_000
_ROWS_AT_ONCE = 32
_MOST_GIVEN_AGAIN = 5_000


class Collector:
    """One source's loop in this worker: an account's campaign, or an account."""

    def __init__(
        self,
        source: str,
        account: AccountConfig,
        campaigns: Sequence[CampaignConfig],
        *,
        client: ProviderClient,
        keeper: TokenKeeper,
        outcomes: Outcomes,
        owner: str,
        metrics: Metrics,
        crew: Crew,
    ) -> None:
        self._source = source
        self._account = account
        self._campaigns = {campaign.name: campaign for campaign in campaigns}
        self._client = client
        self._keeper = keeper
        self._outcomes = outcomes
        self._owner = owner
        self._metrics = metrics
        self._crew = crew
        self._never = asyncio.Event()
        self._said: OrderedDict[tuple[str, str, int], None] = OrderedDict()
        self._failures = 0
        self._cold_at = 0.0
        self._redial_ms = max(_ms(campaign.redial_window.total_seconds()) for campaign in campaigns)
        self._timeout_ms = max(_ms(campaign.outcome_timeout.total_seconds()) for campaign in campaigns)

    async def run(self) -> None:
        """Until the crew stops."""
        try:
            while not self._crew.stopping.is_set():
                await self._crew.wait_for(self._never, await self._round())
        finally:
            await self._outcomes.release_collector(self._source, self._owner)

    async def _round(self) -> float:
        """One look at what waits, with an export if something does. How long to wait before the next, in seconds."""
        waiting = await self._outcomes.open(self._source)
        if waiting.oldest_sent_ms is None:
            return _IDLE_S
        if not await self._outcomes.hold_collector(self._source, self._owner, _LEASE_MS):
            return _IDLE_S
        try:
            await self._sweep(waiting)
        except (ProviderError, AccountLockedError, TokenUnavailableError) as error:
            return self._failed(error)
        self._failures = 0
        await self._time_out(waiting.now_ms)
        return _pace_s(waiting)

    def _failed(self, error: Exception) -> float:
        if self._failures == 0:
            log.warning("export failed, outcomes wait", source=self._source, error=str(error))
        first, longest = _FAILED_PAUSE_S
        pause_s = float(min(first * 2**self._failures, longest))
        self._failures += 1
        if isinstance(error, Refused) and error.retry_after_s:
            pause_s = max(pause_s, min(error.retry_after_s, longest))
        return pause_s * random.uniform(0.8, 1.2)  # noqa: S311  jitter

    async def _sweep(self, waiting: Open) -> None:
        """Reads every page of one window, which ends when the sweep began, then judges ambiguous imports by it."""
        oldest_ms = waiting.oldest_sent_ms or waiting.now_ms
        hot_ms = waiting.now_ms - _HOT_MS
        cold = time.monotonic() >= self._cold_at
        if cold:
            self._cold_at = time.monotonic() + _COLD_EVERY_S
        start_ms = oldest_ms if cold else max(oldest_ms, hot_ms)
        offset_ms, margin_ms = self._clock()
        await self._read_pages(start_ms + offset_ms - margin_ms, waiting.now_ms + offset_ms + margin_ms)
        await self._reconcile(waiting, start_ms)

    def _clock(self) -> tuple[int, int]:
        offset_ms = self._client.clock_offset_ms
        return (0, _BLIND_MARGIN_MS) if offset_ms is None else (offset_ms, _LEARNED_MARGIN_MS)

    async def _read_pages(self, start_ms: int, end_ms: int) -> None:
        offset = 0
        unexplained: list[CallRow] = []
        for _ in range(_MOST_PAGES):
            await self._outcomes.hold_collector(self._source, self._owner, _LEASE_MS)
            page = await self._page(start_ms, end_ms, offset)
            self._metrics.export_requests.labels(source=self._source).inc()
            self._metrics.export_rows.labels(source=self._source).inc(page.raw_count)
            unexplained += await self._give_rows(page.rows)
            offset += page.raw_count
            if page.raw_count == 0 or (page.total is not None and offset >= page.total):
                # A redial may stand on an earlier page than the call that it follows.
                left = await self._give_rows(unexplained[:_MOST_GIVEN_AGAIN])
                self._metrics.rows_unexplained.labels(source=self._source).inc(len(left))
                return
        log.error("export never ends, read in part", source=self._source, rows=offset)

    async def _page(self, start_ms: int, end_ms: int, offset: int) -> ExportPage:
        token = await self._keeper.get()
        try:
            return await self._ask(token, start_ms, end_ms, offset)
        except Refused as refused:
            if refused.code is not Refusal.TOKEN or await self._keeper.refused(token):
                raise
        return await self._ask(await self._keeper.get(), start_ms, end_ms, offset)

    async def _ask(self, token: SharedToken, start_ms: int, end_ms: int, offset: int) -> ExportPage:
        access = AccessToken(token.value, token.expires_at_ms)
        window = {"start_ms": start_ms, "end_ms": end_ms, "limit": PAGE_ROWS, "offset": offset}
        if self._account.outcomes_from == "account_call_log":
            return await self._client.export_account(access, **window)
        campaign_id = next(iter(self._campaigns.values())).campaign_id
        return await self._client.export_campaign(campaign_id, access, **window)

    async def _give_rows(self, rows: Sequence[CallRow]) -> list[CallRow]:
        """Rows of one number go one after another, in the order of their calls; others side by side.

        Gives back those that nothing explains.
        """
        by_number: dict[str, list[CallRow]] = {}
        for row in rows:
            if row.callee is not None and (row.call_id, row.callee, row.state) not in self._said:
                by_number.setdefault(row.callee, []).append(row)
        numbers = list(by_number)
        unexplained: list[CallRow] = []
        for start in range(0, len(numbers), _ROWS_AT_ONCE):
            chunk = numbers[start : start + _ROWS_AT_ONCE]
            given = await asyncio.gather(
                *(self._give_in_order(number, by_number[number]) for number in chunk)
            )
            unexplained += [row for rows in given for row in rows]
        return unexplained

    async def _give_in_order(self, number: str, rows: list[CallRow]) -> list[CallRow]:
        in_order = sorted(rows, key=lambda one: (one.called_at is None, one.called_at, one.call_id))
        return [row for row in in_order if await self._give_row(number, row) == "unexplained"]

    async def _give_row(self, number: str, row: CallRow) -> str:
        offset_ms, margin_ms = self._clock()
        called_ms = None if row.called_at is None else _ms(row.called_at.timestamp()) - offset_ms
        finding = await self._outcomes.give_row(
            self._account.name,
            number,
            _call_of(row),
            reason_of(row.note),
            called_at_ms=called_ms,
            tolerance_ms=margin_ms,
            redial_ms=self._redial_ms,
        )
        if finding.fate == "settled":
            self._settled(finding, row)
        if finding.fate in ("settled", "known"):
            self._remember(row, number)
        return finding.fate

    def _settled(self, finding: Finding, row: CallRow) -> None:
        reason = reason_of(row.note) if finding.state == "failed" else ""
        campaign = finding.campaign or ""
        self._metrics.outcomes.labels(campaign=campaign, state=finding.state, reason=reason).inc()
        if finding.sent_at_ms:
            delay_s = time.time() - finding.sent_at_ms / 1000
            self._metrics.outcome_delay_seconds.labels(campaign=campaign).observe(max(0.0, delay_s))
        log.info("outcome settled", message_id=finding.message_id, campaign=campaign, state=finding.state)

    def _remember(self, row: CallRow, number: str) -> None:
        self._said[(row.call_id, number, row.state)] = None
        while len(self._said) > _REMEMBERED_ROWS:
            self._said.popitem(last=False)

    async def _reconcile(self, waiting: Open, start_ms: int) -> None:
        for batch, sent_ms in waiting.ambiguous:
            campaign = self._campaigns.get(await self._outcomes.campaign_of(batch) or "")
            if campaign is None or sent_ms < start_ms:
                continue
            if sent_ms + _ms(campaign.reconcile_window.total_seconds()) > waiting.now_ms:
                continue
            judged = await self._outcomes.reconcile(batch, campaign.on_ambiguous)
            if judged is not None:
                log.warning(
                    "ambiguous import given up: no export shows it",
                    batch=batch,
                    campaign=campaign.name,
                    retried=judged[0],
                    undetermined=judged[1],
                )

    async def _time_out(self, asked_at_ms: int) -> None:
        for message_id, state, campaign in await self._outcomes.time_out(
            self._source, timeout_ms=self._timeout_ms, most=200, asked_at_ms=asked_at_ms
        ):
            reason = Reason.NO_OUTCOME if state == "undetermined" else ""
            self._metrics.outcomes.labels(campaign=campaign, state=state, reason=reason).inc()
            log.warning("no outcome in time", message_id=message_id, campaign=campaign, state=state)


def _pace_s(waiting: Open) -> float:
    age_s = (waiting.now_ms - (waiting.oldest_sent_ms or waiting.now_ms)) / 1000
    return min(max(_QUICKEST_S, age_s * _AGE_SHARE), _SLOWEST_S)


def _call_of(row: CallRow) -> Call:
    return Call(
        call_id=row.call_id,
        caller_id=row.caller_id,
        called_at=row.called_at_text,
        duration=row.duration,
        key_press=row.key_press,
        keys=list(row.keys),
        note=row.note,
        state=row.state,
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
