from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.config import AccountConfig
from app.phone import NumberFormat
from app.provider.client import AccessToken, Contact, ProviderClient
from app.secret import Secret

TOKEN = AccessToken(Secret.of("eyJ-the+token/&=%2F"), None)
SECRET_KEY = "the secret+key/&=#%2F"
CONTACT = Contact("+84901234567", Secret.of("004217"), {})

ClientMaker = Callable[..., ProviderClient]


def account(
    base_url: str,
    timeout_s: float = 5.0,
    number_format: NumberFormat = "national",
    ca_file: Path | None = None,
    zone: str = "Asia/Ho_Chi_Minh",
) -> AccountConfig:
    return AccountConfig(
        name="main",
        base_url=base_url,
        secret_key=Secret.of(SECRET_KEY),
        timezone=ZoneInfo(zone),
        number_format=number_format,
        timeout=timedelta(seconds=timeout_s),
        ca_file=ca_file,
        outcomes_from="campaign_export",
    )


@pytest.fixture
async def client_of() -> AsyncIterator[ClientMaker]:
    """Makes clients as `account` is told to, and closes them."""
    async with AsyncExitStack() as stack:

        def make(
            base_url: str, *, clock: Callable[[], float] | None = None, **options: object
        ) -> ProviderClient:
            told = account(base_url, **options)  # type: ignore[arg-type]
            client = ProviderClient(told) if clock is None else ProviderClient(told, clock=clock)
            stack.push_async_callback(client.aclose)
            return client

        yield make
