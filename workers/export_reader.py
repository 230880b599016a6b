"""Reads a source's export, page by page. Owns how pages are asked for and counted; what rows mean is not its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from app.provider.client import AccessToken
from app.provider.errors import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.config import AccountConfig
    from app.provider.client import ExportPage, ProviderClient
    from app.store.tokens import SharedToken
    from app.telemetry.metrics import Metrics
    from workers.tokens import TokenKeeper

log = structlog.get_logger()

PAGE_ROWS = 500
_MOST_PAGES = 2_000


class ExportReader:
    """Of one source: a campaign's export, or the account's call log."""

    def __init__(
        self,
        source: str,
        account: AccountConfig,
        campaign_id: str,
        *,
        client: ProviderClient,
        keeper: TokenKeeper,
        metrics: Metrics,
    ) -> None:
        self._source = source
        self._account = account
        self._campaign_id = campaign_id
        self._client = client
        self._keeper = keeper
        self._metrics = metrics

    async def read(self, start_ms: int, end_ms: int, take: Callable[[ExportPage], Awaitable[None]]) -> bool:
        """Gives all pages of that time, by the provider's clock, to `take`, one after another.

        Whether they were all: False if they never end. Raises ProviderError, AccountLockedError, TokenUnavailableError.
        """
        offset = 0
        for _ in range(_MOST_PAGES):
            page = await self._page(start_ms, end_ms, offset)
            self._metrics.export_requests.labels(source=self._source).inc()
            self._metrics.export_rows.labels(source=self._source).inc(page.raw_count)
            await take(page)
            offset += page.raw_count
            if page.raw_count == 0 or (page.total is not None and offset >= page.total):
                return True
        log.error("export never ends, read in part", source=self._source, rows=offset)
        return False

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
        return await self._client.export_campaign(self._campaign_id, access, **window)
