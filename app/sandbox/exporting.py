"""Export calls: one campaign's, or all of the account's. Reads; places nothing but what a fault asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from secrets import SystemRandom

from app.sandbox.calls import Row
from app.sandbox.campaigns import Campaign
from app.sandbox.faults import (
    CallIdKind,
    FilterByImport,
    GrowingTotal,
    LateRows,
    NumberSpelling,
    PageCap,
    RowOrder,
)
from app.sandbox.outcomes import Effect
from app.sandbox.phone_number import spell
from app.sandbox.sandbox import Moment, Sandbox

CALLER_ID = "02471001234"
DEFAULT_LIMIT = 10

_INTEGER = re.compile(r"[0-9]{1,15}")
_ENDED = (40, 50)


@dataclass(frozen=True, kw_only=True)
class ExportQuery:
    """Times in ms of the provider's clock; `start_ms` None: from the beginning."""

    start_ms: int | None
    end_ms: int
    limit: int
    offset: int


def read_query(params: dict[str, str], moment: Moment) -> ExportQuery:
    """The query's numbers; what is missing or no number gets its default."""
    return ExportQuery(
        start_ms=_integer(params.get("start_time"), 0) or None,
        end_ms=_integer(params.get("end_time"), moment.provider_ms),
        limit=_integer(params.get("limit"), 0) or DEFAULT_LIMIT,
        offset=_integer(params.get("offset"), 0),
    )


def _integer(text: str | None, default: int) -> int:
    return int(text) if text is not None and _INTEGER.fullmatch(text) else default


@dataclass(frozen=True)
class Page:
    """What an export answers with: the limit it says it used, all rows' count, the page's rows."""

    limit: int
    total: int
    calls: list[dict[str, str | int]]


class Export:
    """One export request. `campaign` is None for the whole account."""

    def __init__(
        self, sandbox: Sandbox, campaign: Campaign | None, query: ExportQuery, moment: Moment
    ) -> None:
        self._sandbox = sandbox
        self._campaign_id = campaign.campaign_id if campaign else None
        self._campaigns = [campaign] if campaign else list(sandbox.campaigns)
        self._query = query
        self._moment = moment
        faults = sandbox.faults
        self._late = faults.take(LateRows, self._campaign_id)
        self._by_import = faults.take(FilterByImport, self._campaign_id)

    def page(self) -> Page:
        """The rows asked for. Counts what is served."""
        phantoms = self._grow()
        rows = self._ordered([row for row in self._rows() if self._in_window(row)])
        cap = self._sandbox.faults.take(PageCap, self._campaign_id)
        caps = (self._sandbox.settings.page_cap, cap.rows if cap else None)
        limit = min([self._query.limit, *(most for most in caps if most)])
        shown = rows[self._query.offset : self._query.offset + limit]
        self._sandbox.received.counts.rows_served += len(shown)
        said = self._query.limit if cap and cap.says_asked else limit
        return Page(said, len(rows) + phantoms, self._written(shown))

    def _rows(self) -> Iterator[Row]:
        start_ms, now_ms = self._query.start_ms, self._moment.true_ms
        since_ms = start_ms - self._moment.offset_ms if start_ms is not None else None
        for campaign in self._campaigns:
            yield from (row for row in campaign.rows_since(since_ms, now_ms) if self._is_visible(row))

    def _is_visible(self, row: Row) -> bool:
        late, now_ms = self._late, self._moment.true_ms
        if not self._sandbox.settings.ringing_rows and row.state not in _ENDED:
            return False
        if late is None:
            return True
        shown_from_ms = row.called_at_ms if late.until == "called" else row.ended_at_ms
        return shown_from_ms is not None and shown_from_ms + late.delay_ms <= now_ms

    def _in_window(self, row: Row) -> bool:
        at_ms = _whole_second(self._row_time_ms(row) + self._moment.offset_ms)
        return (self._query.start_ms is None or at_ms >= self._query.start_ms) and at_ms <= self._query.end_ms

    def _row_time_ms(self, row: Row) -> int:
        if self._by_import or row.called_at_ms is None:
            return row.call.placed_at_ms
        return row.called_at_ms

    def _ordered(self, rows: list[Row]) -> list[Row]:
        order = self._sandbox.faults.take(RowOrder, self._campaign_id)
        if order and order.order == "shuffled":
            SystemRandom().shuffle(rows)
            return rows
        return sorted(rows, key=lambda row: (self._row_time_ms(row), row.call_id), reverse=order is None)

    def _grow(self) -> int:
        growing = self._sandbox.faults.take(GrowingTotal, self._campaign_id)
        if growing is None:
            return 0
        campaign = self._campaigns[0]
        if growing.phantom:
            campaign.phantoms += growing.by
            return campaign.phantoms
        self._sandbox.find_late(campaign, growing.by, self._moment.true_ms)
        return 0

    def _written(self, rows: list[Row]) -> list[dict[str, str | int]]:
        faults = self._sandbox.faults
        kind = faults.take(CallIdKind, self._campaign_id)
        spelling = faults.take(NumberSpelling, self._campaign_id)
        return [
            {
                "call_id": _call_id(row, kind),
                "caller_id": CALLER_ID,
                "callee_id": spell(row.call.number, spelling.spelling if spelling else "national"),
                "called_at": written_called_at(self._sandbox, row, self._moment.offset_ms),
                "duration": row.verdict.duration_s if row.verdict else 0,
                "key_press": row.verdict.key_press if row.verdict else "",
                "note": row.verdict.note if row.verdict else "",
                "state": row.state,
            }
            for row in rows
        ]


def written_called_at(sandbox: Sandbox, row: Row, offset_ms: int) -> str:
    """`2026-11-24 10:16:44` in the account's zone; empty before the call is made."""
    if row.called_at_ms is None or row.call.outcome.effect is Effect.UNDATED:
        return ""
    return sandbox.local_time(row.called_at_ms + offset_ms)


def _call_id(row: Row, kind: CallIdKind | None) -> str | int:
    if kind is None:
        return str(row.call_id)
    if kind.empty_until_called and row.called_at_ms is None:
        return ""
    return row.call_id if kind.in_export == "number" else str(row.call_id)


def _whole_second(at_ms: int) -> int:
    return at_ms // 1000 * 1000
