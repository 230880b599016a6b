"""Collects outcomes: asks each source's export while something waits for one, and gives every row to the store.

One worker a source at a time, and never when nothing is in flight; when and how far back is `workers.pace`'s to say.
Owns the decision that an ambiguous import was not taken: only when its window has passed and a whole export, begun
after that, showed no row of it.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import structlog

from app.message import Reason
from app.provider.errors import ProviderError, Refused
from workers.clocks import BLIND_MARGIN_MS, LEARNED_MARGIN_MS, Clocks, ms
from workers.export_reader import ExportReader
from workers.pace import Pace
from workers.row_giver import RowGiver, called_at_ms, is_over
from workers.tokens import AccountLockedError, TokenUnavailableError
from workers.turn import NotMyTurnError, Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.config import AccountConfig, CampaignConfig
    from app.message import BatchId
    from app.provider.client import ExportPage, ProviderClient
    from app.store.outcomes import Open, Outcomes
    from app.telemetry.metrics import Metrics
    from workers.crew import Crew
    from workers.pace import Plan
    from workers.row_giver import Row
    from workers.tokens import TokenKeeper
    from workers.windows import Window

log = structlog.get_logger()

_IDLE_S = 1.0
_JUDGE_EVERY_MS = 2_000
_FAILED_PAUSE_S = (1.0, 5.0)
_TIMED_OUT_AT_ONCE = 200
_MOST_GIVEN_AGAIN = 5_000


@dataclass(slots=True)
class _Found:
    """What a plan's windows showed so far."""

    window: Window = (0, 0)
    rows: list[tuple[int | None, bool]] = field(default_factory=list)
    unexplained: list[Row] = field(default_factory=list)


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
        self._campaigns = {campaign.name: campaign for campaign in campaigns}
        self._clocks = Clocks(client)
        self._outcomes = outcomes
        self._metrics = metrics
        self._crew = crew
        self._never = asyncio.Event()
        self._failures = 0
        self._judged_ms = 0
        self._timeout_ms = {one.name: ms(one.outcome_timeout.total_seconds()) for one in campaigns}
        self._quickest_judge_ms = min(ms(one.reconcile_window.total_seconds()) for one in campaigns)
        self._turn = Turn(source, owner, outcomes)
        self._pace = self._fresh_pace()
        self._reader = ExportReader(
            source, account, campaigns[0].campaign_id, client=client, keeper=keeper, metrics=metrics
        )
        self._giver = RowGiver(
            source,
            account.name,
            redial_ms={one.name: ms(one.redial_window.total_seconds()) for one in campaigns},
            outcomes=outcomes,
            clocks=self._clocks,
            turn=self._turn,
            metrics=metrics,
        )

    def _fresh_pace(self) -> Pace:
        return Pace(timeout_ms=max(self._timeout_ms.values()), margin_ms=LEARNED_MARGIN_MS)

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
        waiting = await self._outcomes.open(self._source, self._pace.fresh_ms)
        self._clocks.learn(waiting.now_ms)
        judged = await self._to_be_judged(waiting)
        plan = self._pace.due(
            waiting,
            self._clocks.ahead_ms,
            judge_from_ms=min((sent_ms for _, _, sent_ms in judged), default=None),
        )
        if plan is None:
            await self._forget_late(waiting)
            return _IDLE_S if waiting.since_ms is None else self._pace.wait_s(waiting)
        try:
            is_whole = await self._sweep(waiting, plan)
        except NotMyTurnError:
            log.warning("collecting left to another worker", source=self._source)
            return _IDLE_S
        except (ProviderError, AccountLockedError, TokenUnavailableError) as error:
            return self._failed(error)
        self._failures = 0
        if not is_whole:
            return _IDLE_S
        if plan.whole_from_ms is not None:
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

    async def _sweep(self, waiting: Open, plan: Plan) -> bool:
        """Reads every page of each window. Whether all of them were read, and the pace was told."""
        is_blind = self._clocks.is_blind
        wider_ms = BLIND_MARGIN_MS if is_blind else 0
        found = _Found()
        for from_ms, to_ms in plan.windows:
            found.window = (from_ms - wider_ms, to_ms + wider_ms)
            # Rows have whole seconds: a filter may count its bounds in or not, and loses none.
            if not await self._reader.read(
                found.window[0] - 1, found.window[1] - 1, partial(self._take, found)
            ):
                return False
        # A redial may stand on an earlier page than the call that it follows.
        left = await self._giver.give(found.unexplained[:_MOST_GIVEN_AGAIN], self._pace)
        self._metrics.rows_unexplained.labels(source=self._source).inc(len(left))
        if is_blind and not self._clocks.is_blind:
            return False  # what was read up to where is known only from now on
        self._pace.swept(waiting, plan, found.rows)
        return True

    async def _take(self, found: _Found, page: ExportPage) -> None:
        self._turn.check()
        unknown = page.raw_count - len(page.rows)
        found.rows += [(called_at_ms(row), is_over(row)) for row in page.rows] + [(None, True)] * unknown
        found.unexplained += await self._giver.give([(found.window, row) for row in page.rows], self._pace)

    async def _to_be_judged(self, waiting: Open) -> list[tuple[BatchId, CampaignConfig, int]]:
        """Ambiguous imports of which a row should have shown by now, each with when it was sent."""
        found: list[tuple[BatchId, CampaignConfig, int]] = []
        if waiting.now_ms - self._judged_ms < _JUDGE_EVERY_MS:
            return found
        for batch, sent_ms in waiting.ambiguous:
            if sent_ms + self._quickest_judge_ms > waiting.now_ms:
                break
            campaign = self._campaigns.get(await self._outcomes.campaign_of(batch) or "")
            if campaign and sent_ms + ms(campaign.reconcile_window.total_seconds()) <= waiting.now_ms:
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
        told_ms, looked_ms = self._pace.told_until_ms(), self._pace.looked_from_ms(waiting.now_ms)
        await self._end(
            told_ms=0 if told_ms is None else told_ms,
            looked_ms=waiting.now_ms if looked_ms is None else looked_ms,
        )

    async def _forget_late(self, waiting: Open) -> None:
        """What is undetermined for so long that nothing is read for it any more does not wait."""
        oldest_ms = waiting.oldest_late_ms
        if oldest_ms is not None and self._pace.is_past(waiting.now_ms - oldest_ms):
            await self._end(told_ms=0, looked_ms=waiting.now_ms)

    async def _end(self, *, told_ms: int, looked_ms: int) -> None:
        for message_id, state, campaign in await self._outcomes.time_out(
            self._source,
            timeout_ms=self._timeout_ms,
            most=_TIMED_OUT_AT_ONCE,
            asked_at_ms=told_ms,
            sent_since_ms=looked_ms,
            owner=self._turn.owner,
        ):
            reason = Reason.NO_OUTCOME if state == "undetermined" else ""
            self._metrics.outcomes.labels(campaign=campaign, state=state, reason=reason).inc()
            log.warning("no outcome in time", message_id=message_id, campaign=campaign, state=state)
