"""AICallCenter's four calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from app.provider.model import AccessToken, CallRow, Contact, ExportPage, ImportReceipt, Taken

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


class ProviderClient:
    """One account's calls to the provider."""

    def __init__(self, account: AccountConfig, *, clock: Callable[[], float] = time.time) -> None:
        raise NotImplementedError

    @property
    def clock_offset_ms(self) -> int | None:
        """The provider's clock less ours, learned from `Date` headers; None until one was seen."""
        raise NotImplementedError

    async def make_token(self) -> AccessToken:
        """Buys a token with the secret key. Raises NotSent, Refused (SECRET_KEY, THROTTLED), Unreadable."""
        raise NotImplementedError

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
        raise NotImplementedError

    async def export_campaign(
        self, campaign_id: str, token: AccessToken, *, start_ms: int, end_ms: int, limit: int, offset: int
    ) -> ExportPage:
        """A page of a campaign's calls. Raises NotSent, Refused (TOKEN, CAMPAIGN, THROTTLED), Unreadable."""
        raise NotImplementedError

    async def export_account(
        self, token: AccessToken, *, start_ms: int, end_ms: int, limit: int, offset: int
    ) -> ExportPage:
        """A page of the account's calls. Raises NotSent, Refused (TOKEN, THROTTLED), Unreadable."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Closes the connections."""
        raise NotImplementedError
