"""AICallCenter's four calls, for one account.

Owns connections and what was learned of the provider's clock; nothing else. Tokens are made here and kept by
others; so is every message's state. Nothing here tries again, logs, or decides what an error means for a message.

Imports have connections of their own, one each. On a kept connection that the provider closed a moment ago, the
request is written before the close is seen, and an import that may have been taken has to be reconciled for half
a minute; a new connection's handshakes fail before anything is sent, and cost less than that.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx

from app.provider import wire
from app.provider.errors import Ambiguous, NotSent, ProviderError, Refusal, Refused, Unreadable
from app.provider.exchange import Answer, Exchanger, NoAnswer
from app.provider.model import AccessToken, CallRow, Contact, ExportPage, ImportReceipt, Taken
from app.provider.provider_clock import ProviderClock, wait_asked_for
from app.secret import Secret

if TYPE_CHECKING:
    from app.config import AccountConfig

__all__ = [
    "AccessToken",
    "CallRow",
    "Contact",
    "ExportPage",
    "ImportReceipt",
    "ProviderClient",
    "Taken",
]

_LARGEST_RECEIPT = 4 * 1024 * 1024
_LARGEST_PAGE = 16 * 1024 * 1024
_LARGEST_TOKEN = 64 * 1024

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "otp-relay"}

_BY_CODE = {
    "401": Refusal.TOKEN,
    "400": Refusal.CONTACTS,
    "1": Refusal.CAMPAIGN,
    "3": Refusal.STOPPED,
    "429": Refusal.THROTTLED,
    "413": Refusal.TOO_LARGE,
}
"""The document's codes less leading zeros, for a code may come as a number; and HTTP's, should they come so."""

_BY_STATUS = {429: Refusal.THROTTLED, 413: Refusal.TOO_LARGE}
"""HTTP statuses that tell by themselves that nothing was taken."""

_CODE_IN_STATUS = frozenset({400, 401})
"""HTTP statuses that are the document's code, where the body says `status: 0` but has no code."""

_OF_TOKEN = {Refusal.TOKEN: Refusal.SECRET_KEY, Refusal.THROTTLED: Refusal.THROTTLED}
_OF_EXPORT = {code: code for code in (Refusal.TOKEN, Refusal.CAMPAIGN, Refusal.THROTTLED)}
_OF_IMPORT = {code: code for code in _BY_CODE.values()}

_NOT_THE_DOCUMENT = "not the document's answer"


class ProviderClient:
    """One account's calls to the provider. Each ends within the account's `timeout`.

    `clock` gives seconds since the epoch. Must be closed with `aclose`.
    """

    def __init__(self, account: AccountConfig, *, clock: Callable[[], float] = time.time) -> None:
        self._account = account
        self._clock = clock
        self._provider_clock = ProviderClock()
        context = ssl.create_default_context(cafile=account.ca_file)
        context.keylog_filename = None  # type: ignore[assignment]  # SSLKEYLOGFILE of the environment
        timeout_s = account.timeout.total_seconds()
        self._imports = Exchanger(timeout_s=timeout_s, context=context, keep_alive=False)
        self._questions = Exchanger(timeout_s=timeout_s, context=context, keep_alive=True)

    @property
    def clock_offset_ms(self) -> int | None:
        """The provider's clock less ours, learned from `Date` headers; None until one was seen."""
        return self._provider_clock.offset_ms

    async def make_token(self) -> AccessToken:
        """Buys a token with the secret key. Raises NotSent, Refused (SECRET_KEY, THROTTLED), Unreadable."""
        query = {"secret_key": self._account.secret_key.reveal()}
        envelope = await self._ask("/api/users/generate-access-token", query, _LARGEST_TOKEN, _OF_TOKEN)
        try:
            value = wire.read_token(envelope)
        except wire.NotTheDocument:
            raise Unreadable(_NOT_THE_DOCUMENT) from None
        return AccessToken(Secret.of(value), wire.jwt_expiry_ms(value))

    async def import_contacts(
        self,
        campaign_id: str,
        token: AccessToken,
        contacts: Sequence[Contact],
        *,
        may_leave: Callable[[], bool] | None = None,
    ) -> ImportReceipt:
        """Has the contacts called. Raises NotSent, Refused, Ambiguous.

        `may_leave` is asked when the connection stands and nothing is written yet; False gives NotSent.
        """
        body, media_type = wire.import_body(token.value.reveal(), contacts, self._account.number_format)
        request = httpx.Request(
            "POST",
            self._url(f"/api/campaigns/{quote(campaign_id, safe='')}/import"),
            headers={**_HEADERS, "Content-Type": media_type},
            content=body,
        )
        answer = await self._timed(self._imports, request, _LARGEST_RECEIPT, may_leave)
        envelope = self._done(answer, _OF_IMPORT, Ambiguous)
        try:
            return wire.read_receipt(envelope)
        except wire.NotTheDocument:
            raise Ambiguous(_NOT_THE_DOCUMENT) from None

    async def export_campaign(
        self, campaign_id: str, token: AccessToken, *, start_ms: int, end_ms: int, limit: int, offset: int
    ) -> ExportPage:
        """A page of a campaign's calls. Raises NotSent, Refused (TOKEN, CAMPAIGN, THROTTLED), Unreadable."""
        path = f"/api/campaigns/{quote(campaign_id, safe='')}/export"
        return await self._export(path, token, start_ms, end_ms, limit, offset)

    async def export_account(
        self, token: AccessToken, *, start_ms: int, end_ms: int, limit: int, offset: int
    ) -> ExportPage:
        """A page of the account's calls. Raises NotSent, Refused (TOKEN, THROTTLED), Unreadable."""
        return await self._export("/api/users/call-log", token, start_ms, end_ms, limit, offset)

    async def aclose(self) -> None:
        """Closes the connections. What is asked afterwards is NotSent."""
        await self._imports.aclose()
        await self._questions.aclose()

    async def _export(
        self, path: str, token: AccessToken, start_ms: int, end_ms: int, limit: int, offset: int
    ) -> ExportPage:
        query = {
            "access_token": token.value.reveal(),
            "start_time": str(start_ms),
            "end_time": str(end_ms),
            "limit": str(limit),
            "offset": str(offset),
        }
        envelope = await self._ask(path, query, _LARGEST_PAGE, _OF_EXPORT)
        try:
            return wire.read_page(envelope, self._account.timezone)
        except wire.NotTheDocument:
            raise Unreadable(_NOT_THE_DOCUMENT) from None

    async def _ask(
        self, path: str, query: dict[str, str], largest: int, refusals: dict[Refusal, Refusal]
    ) -> wire.Envelope:
        request = httpx.Request("GET", self._url(path), params=query, headers=_HEADERS)
        answer = await self._timed(self._questions, request, largest, None)
        return self._done(answer, refusals, Unreadable)

    def _url(self, path: str) -> str:
        return self._account.base_url.rstrip("/") + path

    async def _timed(
        self,
        exchanger: Exchanger,
        request: httpx.Request,
        largest: int,
        may_leave: Callable[[], bool] | None,
    ) -> Answer | NoAnswer:
        sent_s = self._clock()
        answer = await exchanger.exchange(request, largest_body=largest, may_leave=may_leave)
        if isinstance(answer, Answer):
            date = answer.headers.get("date")
            self._provider_clock.learn(date, sent_s=sent_s, answered_s=self._clock())
        return answer

    def _done(
        self, answer: Answer | NoAnswer, refusals: dict[Refusal, Refusal], otherwise: type[ProviderError]
    ) -> wire.Envelope:
        """The frame of an answer that says that it was done; else raises NotSent, Refused or `otherwise`."""
        if isinstance(answer, NoAnswer):
            raise (otherwise if answer.was_sent else NotSent)(f"no answer: {answer.detail}")
        envelope = None if answer.body is None else wire.read_envelope(answer.body)
        refusal = _refusal(answer.status, envelope)
        if refusal in refusals:
            wait_s = wait_asked_for(answer.headers.get("retry-after"), now_s=self._clock())
            raise Refused(refusals[refusal], wait_s)
        if envelope is None or not wire.is_done(envelope) or not 200 <= answer.status < 300:
            raise otherwise(f"HTTP {answer.status}, {_NOT_THE_DOCUMENT}")
        return envelope


def _refusal(status: int, envelope: wire.Envelope | None) -> Refusal | None:
    """Why nothing was taken, whichever of body and HTTP status tells it; None where neither does."""
    if envelope is None:
        return _BY_STATUS.get(status)
    if not wire.is_refused(envelope):
        return None if wire.is_done(envelope) else _BY_STATUS.get(status)
    code = wire.as_text(envelope.code).strip().lstrip("0")
    if not code and status in _CODE_IN_STATUS:
        code = str(status)
    return _BY_CODE.get(code) or _BY_STATUS.get(status)
