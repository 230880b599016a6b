"""Collects outcomes: asks each source's export while something waits for one, and gives every row to the store.

One worker a source at a time, and never when nothing is in flight; when and how far back is `workers.pace`'s to say.
Owns the decision that an ambiguous import was not taken: only when its window has passed and a whole export, begun
after that, showed no row of it.
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
from workers.pace import Pace
from workers.tokens import AccountLockedError, TokenUnavailableError
from workers.turn import NotMyTurnError, Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.config import AccountConfig, CampaignConfig
    from app.message import BatchId
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
_IDLE_S = 1.0
_JUDGE_EVERY_MS = 2_000
_FAILED_PAUSE_S = (1.0, 5.0)
_REMEMBERED_ROWS = 50_000
_ROWS_AT_ONCE = 32
_TIMED_OUT_AT_ONCE = 200
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
        self._said: OrderedDict[tuple[str, str, int, str | None], None] = OrderedDict()
        self._failures = 0
        self._judged_ms = 0
        self._redis_ahead_ms = 0
        self._redial_ms = {one.name: _ms(one.redial_window.total_seconds()) for one in campaigns}
        self._timeout_ms = {one.name: _ms(one.outcome_timeout.total_seconds()) for one in campaigns}
        self._quickest_judge_ms = min(_ms(one.reconcile_window.total_seconds()) for one in campaigns)
        self._turn = Turn(source, owner, outcomes)
        self._pace = self._fresh_pace()

    def _fresh_pace(self) -> Pace:
        return Pace(timeout_ms=max(self._timeout_ms.values()), margin_ms=_LEARNED_MARGIN_MS)

    async def run(self) -> None:
        """Until the crew stops."""
        try:
            while not self._crew.stopping.is_set():
                await self._crew.wait_for(self._never, await self._round())
        finally:
            await self._turn.end()

    async def _round(self) -> float:
        """One look at what waits, with an export if one is due. How long to wait before the next, in seconds."""
        if not self._turn.is_mine():
            if not await self._turn.take():
                return _IDLE_S
            self._pace = self._fresh_pace()
        waiting = await self._outcomes.open(self._source, self._pace.ages_ms())
        self._redis_ahead_ms = waiting.now_ms - _ms(time.time())
        judged = await self._to_be_judged(waiting)
        from_ms = self._pace.due_from_ms(
            waiting, judge_from_ms=min((sent_ms for _, _, sent_ms in judged), default=None)
        )
        if from_ms is None:
            return _IDLE_S if waiting.since_ms is None else self._pace.wait_s(waiting)
        try:
            whole = await self._sweep(waiting, from_ms)
        except NotMyTurnError:
            log.warning("collecting left to another worker", source=self._source)
            return _IDLE_S
        except (ProviderError, AccountLockedError, TokenUnavailableError) as error:
            return self._failed(error)
        self._failures = 0
        if whole:
            await self._reconcile(judged)
            await self._time_out(waiting)
        return self._pace.wait_s(waiting)

    def _failed(self, error: Exception) -> float:
        if self._failures == 0:
            log.warning("export failed, outcomes wait", source=self._source, error=str(error))
        first, longest = _FAILED_PAUSE_S
        pause_s = float(min(first * 2**self._failures, longest))
        self._failures += 1
        if isinstance(error, Refused) and error.retry_after_s:
            pause_s = max(pause_s, min(error.retry_after_s, longest))
        return pause_s * random.uniform(0.8, 1.2)  # noqa: S311  jitter

    async def _sweep(self, waiting: Open, from_ms: int) -> bool:
        """Reads every page of one window, which ends when the sweep began. Whether all of it was read."""
        offset_ms, margin_ms = self._clock()
        rows, whole = await self._read_pages(
            from_ms + offset_ms - margin_ms, waiting.now_ms + offset_ms + margin_ms
        )
        self._pace.swept(waiting, from_ms, rows)
        return whole

    def _clock(self) -> tuple[int, int]:
        """The provider's clock less Redis', and how far that may be wrong."""
        offset_ms = self._client.clock_offset_ms
        if offset_ms is None:
            return 0, _BLIND_MARGIN_MS
        return offset_ms - self._redis_ahead_ms, _LEARNED_MARGIN_MS

    async def _read_pages(self, start_ms: int, end_ms: int) -> tuple[int, bool]:
        """How many rows came, and whether they were all. `NotMyTurnError` once another worker may be collecting."""
        offset = 0
        unexplained: list[CallRow] = []
        for _ in range(_MOST_PAGES):
            page = await self._page(start_ms, end_ms, offset)
            self._still_mine()
            self._metrics.export_requests.labels(source=self._source).inc()
            self._metrics.export_rows.labels(source=self._source).inc(page.raw_count)
            unexplained += await self._give_rows(page.rows)
            offset += page.raw_count
            if page.raw_count == 0 or (page.total is not None and offset >= page.total):
                # A redial may stand on an earlier page than the call that it follows.
                left = await self._give_rows(unexplained[:_MOST_GIVEN_AGAIN])
                self._metrics.rows_unexplained.labels(source=self._source).inc(len(left))
                return offset, True
        log.error("export never ends, read in part", source=self._source, rows=offset)
        return offset, False

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
            if row.callee is not None and _identity(row, row.callee) not in self._said:
                by_number.setdefault(row.callee, []).append(row)
        numbers = list(by_number)
        unexplained: list[CallRow] = []
        for start in range(0, len(numbers), _ROWS_AT_ONCE):
            self._still_mine()
            chunk = numbers[start : start + _ROWS_AT_ONCE]
            given = await asyncio.gather(
                *(self._give_in_order(number, by_number[number]) for number in chunk)
            )
            unexplained += [row for rows in given for row in rows]
        return unexplained

    def _still_mine(self) -> None:
        if not self._turn.is_mine():
            raise NotMyTurnError

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
            source=self._source,
        )
        if finding.fate == "settled":
            self._settled(finding, row)
            self._pace.settled(_ms(time.time()) + self._redis_ahead_ms, finding.sent_at_ms, called_ms)
        elif finding.fate == "waiting":
            self._pace.heard()
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
        self._said[_identity(row, number)] = None
        while len(self._said) > _REMEMBERED_ROWS:
            self._said.popitem(last=False)

    async def _to_be_judged(self, waiting: Open) -> list[tuple[BatchId, CampaignConfig, int]]:
        """Ambiguous imports of which a row should have shown by now, each with when it was sent."""
        found: list[tuple[BatchId, CampaignConfig, int]] = []
        if waiting.now_ms - self._judged_ms < _JUDGE_EVERY_MS:
            return found
        for batch, sent_ms in waiting.ambiguous:
            if sent_ms + self._quickest_judge_ms > waiting.now_ms:
                break
            campaign = self._campaigns.get(await self._outcomes.campaign_of(batch) or "")
            if campaign and sent_ms + _ms(campaign.reconcile_window.total_seconds()) <= waiting.now_ms:
                found.append((batch, campaign, sent_ms))
        if found:
            self._judged_ms = waiting.now_ms
        return found

    async def _reconcile(self, judged: Sequence[tuple[BatchId, CampaignConfig, int]]) -> None:
        """Of these the sweep that has just ended showed no row, or they are settled by now."""
        for batch, campaign, _ in judged:
            fates = await self._outcomes.reconcile(batch, campaign.on_ambiguous, owner=self._turn.owner)
            if fates is not None:
                log.warning(
                    "ambiguous import given up: no export shows it",
                    batch=batch,
                    campaign=campaign.name,
                    retried=fates[0],
                    undetermined=fates[1],
                )

    async def _time_out(self, waiting: Open) -> None:
        for message_id, state, campaign in await self._outcomes.time_out(
            self._source,
            timeout_ms=self._timeout_ms,
            most=_TIMED_OUT_AT_ONCE,
            asked_at_ms=waiting.now_ms,
            sent_since_ms=self._pace.looked_from_ms(waiting.now_ms),
            owner=self._turn.owner,
        ):
            reason = Reason.NO_OUTCOME if state == "undetermined" else ""
            self._metrics.outcomes.labels(campaign=campaign, state=state, reason=reason).inc()
            log.warning("no outcome in time", message_id=message_id, campaign=campaign, state=state)


def _identity(row: CallRow, number: str) -> tuple[str, str, int, str | None]:
    """What tells a row that was read before; calls without an id differ by their time alone."""
    return row.call_id, number, row.state, row.called_at_text


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
