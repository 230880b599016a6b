"""Gives export rows to the store, and tells the pace and the metrics what they said."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

import structlog

from app.message import Call
from app.provider.hangup_causes import reason_of
from workers.clocks import ms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.provider.client import CallRow
    from app.store.outcomes import Finding, Outcomes
    from app.telemetry.metrics import Metrics
    from workers.clocks import Clocks
    from workers.pace import Pace
    from workers.turn import Turn
    from workers.windows import Window

    Row = tuple[Window, CallRow]
    """With the window that it came for."""

log = structlog.get_logger()

_REMEMBERED_ROWS = 50_000
_ROWS_AT_ONCE = 32


class RowGiver:
    """Of one source, while it is this worker's turn. What was said before is not given again."""

    def __init__(
        self,
        source: str,
        account: str,
        *,
        redial_ms: Mapping[str, int],
        outcomes: Outcomes,
        clocks: Clocks,
        turn: Turn,
        metrics: Metrics,
    ) -> None:
        self._source = source
        self._account = account
        self._redial_ms = redial_ms
        self._outcomes = outcomes
        self._clocks = clocks
        self._turn = turn
        self._metrics = metrics
        self._said: OrderedDict[tuple[str, str, int, str | None], None] = OrderedDict()

    async def give(self, rows: Sequence[Row], pace: Pace) -> list[Row]:
        """Rows of one number go one after another, in the order of their calls; others side by side.

        Gives back those that nothing explains. Raises NotMyTurnError once another worker may be collecting.
        """
        by_number: dict[str, list[Row]] = {}
        for window, row in rows:
            if row.callee is not None and _identity(row, row.callee) not in self._said:
                by_number.setdefault(row.callee, []).append((window, row))
        numbers = list(by_number)
        unexplained: list[Row] = []
        for start in range(0, len(numbers), _ROWS_AT_ONCE):
            self._turn.check()
            chunk = numbers[start : start + _ROWS_AT_ONCE]
            given = await asyncio.gather(
                *(self._give_in_order(number, by_number[number], pace) for number in chunk)
            )
            unexplained += [row for rows in given for row in rows]
        return unexplained

    async def _give_in_order(self, number: str, rows: list[Row], pace: Pace) -> list[Row]:
        in_order = sorted(rows, key=lambda one: (one[1].called_at is None, one[1].called_at, one[1].call_id))
        return [one for one in in_order if await self._give_row(number, *one, pace) == "unexplained"]

    async def _give_row(self, number: str, window: Window, row: CallRow, pace: Pace) -> str:
        called_ms = called_at_ms(row)
        finding = await self._outcomes.give_row(
            self._account,
            number,
            _call_of(row),
            reason_of(row.note),
            called_at_ms=None if called_ms is None else called_ms - self._clocks.ahead_ms,
            tolerance_ms=self._clocks.margin_ms,
            redial_ms=self._redial_ms,
            source=self._source,
        )
        if finding.fate == "settled":
            self._settled(finding, row)
        if finding.message_id is not None and finding.fate in ("settled", "waiting"):
            if is_over(row):
                sent_ms, now_ms = finding.sent_at_ms or None, self._clocks.redis_now_ms()
                pace.settled(finding.message_id, window, called_ms, sent_ms=sent_ms, now_ms=now_ms)
            else:
                pace.still_rings(finding.message_id, window, called_ms)
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
        log.debug("outcome settled", message_id=finding.message_id, campaign=campaign, state=finding.state)

    def _remember(self, row: CallRow, number: str) -> None:
        self._said[_identity(row, number)] = None
        while len(self._said) > _REMEMBERED_ROWS:
            self._said.popitem(last=False)


def called_at_ms(row: CallRow) -> int | None:
    """By the provider's clock."""
    return None if row.called_at is None else ms(row.called_at.timestamp())


def is_over(row: CallRow) -> bool:
    """Whether it tells a call's end."""
    return row.state in (40, 50)


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
