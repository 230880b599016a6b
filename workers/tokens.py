"""Keeps an account's token: made once for all workers, renewed ahead of its end, dropped when it is refused."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import structlog

from app.provider.client import AccessToken
from app.provider.errors import ProviderError, Refusal, Refused

if TYPE_CHECKING:
    from app.provider.client import ProviderClient
    from app.store.tokens import SharedToken, Tokens
    from app.telemetry.metrics import Metrics
    from workers.crew import Crew

log = structlog.get_logger()

_WAIT_FOR_ANOTHER_S = 10.0
_LOOK_EVERY_S = 0.05
_AHEAD_SHARE = 0.2
_AHEAD_MOST_MS = 60_000
_FRESH_MS = 10_000
_MAKING_MARGIN_S = 5.0
"""By how much the right to make a token outlasts the provider's timeout."""


class AccountLockedError(Exception):
    """The provider refused the account's secret key; nobody asks again before the pause is over."""


class TokenUnavailableError(Exception):
    """No token could be made now; the text is safe to log. `retry_after_s`: what the provider asked for, if it did."""

    def __init__(self, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class TokenKeeper:
    """One account's token, as this worker sees it."""

    def __init__(
        self,
        account: str,
        client: ProviderClient,
        tokens: Tokens,
        *,
        owner: str,
        timeout_s: float,
        metrics: Metrics,
        crew: Crew,
    ) -> None:
        self._account = account
        self._client = client
        self._tokens = tokens
        self._owner = owner
        self._making_ms = round((timeout_s + _MAKING_MARGIN_S) * 1000)
        self._wait_s = max(_WAIT_FOR_ANOTHER_S, timeout_s)
        self._metrics = metrics
        self._crew = crew
        self._renewing: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()
        self._held: SharedToken | None = None
        self._held_until = 0.0

    async def get(self) -> SharedToken:
        """A token that should be good for some seconds yet. `AccountLockedError`, `TokenUnavailableError`."""
        if self._held is not None and time.monotonic() < self._held_until:
            return self._held
        async with self._asking:
            token = await self._tokens.get(self._account)
            if token is None or _left_ms(token) <= 1_000:
                token = await self._made(not_this=token)
            elif _left_ms(token) < _ahead_ms(token) and (self._renewing is None or self._renewing.done()):
                self._renewing = self._crew.start("renew token", self._renew(token))
            self._metrics.account_locked.labels(account=self._account).set(0)
            self._held, self._held_until = token, time.monotonic() + 1.0
            return token

    async def refused(self, token: SharedToken) -> bool:
        """The provider refused this token: dropped, unless another has replaced it. True if it was still fresh."""
        self._held = None
        await self._tokens.drop(self._account, token.generation)
        return time.time() * 1000 - token.made_at_ms < _FRESH_MS

    async def _renew(self, token: SharedToken) -> None:
        if await self._my_turn(not_this=token):
            await self._make()
            log.info("token renewed ahead of its end", account=self._account)

    async def _made(self, not_this: SharedToken | None) -> SharedToken:
        give_up = time.monotonic() + self._wait_s
        while time.monotonic() < give_up:
            if await self._my_turn(not_this):
                await self._make()
            if await self._tokens.locked_for_ms(self._account):
                raise AccountLockedError(self._account)
            token = await self._tokens.get(self._account)
            if token is not None and _is_other(token, not_this):
                return token
            await asyncio.sleep(_LOOK_EVERY_S * random.uniform(0.8, 1.2))  # noqa: S311  jitter
        raise TokenUnavailableError("another worker is making a token and does not come to an end")

    async def _my_turn(self, not_this: SharedToken | None) -> bool:
        """Whether this worker is to make a token: none other does, has just done so, or was just refused."""
        if not await self._tokens.may_make(self._account, self._owner, lease_ms=self._making_ms):
            return False
        token = await self._tokens.get(self._account)
        made = token is not None and _is_other(token, not_this)
        if not made and not await self._tokens.locked_for_ms(self._account):
            return True
        await self._tokens.stop_making(self._account, self._owner)
        return False

    async def _make(self) -> None:
        try:
            made: AccessToken = await self._client.make_token()
        except Refused as error:
            if error.code is not Refusal.SECRET_KEY:
                await self._failed(error)
                raise TokenUnavailableError(error.detail, error.retry_after_s) from None
            pause_ms, refusals = await self._tokens.lock(self._account, self._owner)
            self._metrics.tokens_made.labels(account=self._account, result="refused").inc()
            self._metrics.account_locked.labels(account=self._account).set(1)
            log.error(
                "secret key refused: mend [provider.accounts] secret_key",
                account=self._account,
                refusals=refusals,
                next_try_s=round(pause_ms / 1000),
            )
            raise AccountLockedError(self._account) from None
        except ProviderError as error:
            await self._failed(error)
            raise TokenUnavailableError(error.detail) from None
        await self._tokens.store(self._account, made.value, made.expires_at_ms, self._owner)
        self._metrics.tokens_made.labels(account=self._account, result="made").inc()
        self._metrics.account_locked.labels(account=self._account).set(0)
        log.info("token made", account=self._account)

    async def _failed(self, error: ProviderError) -> None:
        await self._tokens.stop_making(self._account, self._owner)
        self._metrics.tokens_made.labels(account=self._account, result="failed").inc()
        log.warning("token could not be made", account=self._account, error=error.detail)


def _is_other(token: SharedToken, old: SharedToken | None) -> bool:
    return old is None or token.generation != old.generation


def _left_ms(token: SharedToken) -> float:
    return float("inf") if token.expires_at_ms is None else token.expires_at_ms - time.time() * 1000


def _ahead_ms(token: SharedToken) -> float:
    life_ms = float("inf") if token.expires_at_ms is None else token.expires_at_ms - token.made_at_ms
    return min(life_ms * _AHEAD_SHARE, _AHEAD_MOST_MS)
