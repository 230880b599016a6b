"""Fills a relay's queue through the store, as many messages as wanted in little time; what the API adds is left out."""

from __future__ import annotations

import asyncio
from pathlib import Path

from app.config import Config, load_config
from app.origin import parse_callback_url
from app.secret import Secret
from app.store.messages import Accepted, Draft, Messages, new_message_id
from app.store.opening import open_database
from app.store.records import Body
from tests.bench.processes import CAMPAIGN

_AT_ONCE = 1_000


async def fill(
    file: Path,
    messages: int,
    *,
    first: int = 0,
    campaign: str = CAMPAIGN,
    client: str = "bench",
    expires_at_ms: int | None = None,
) -> None:
    """So many, each with a number of its own from `first` on; they expire then, or after an hour."""
    config = load_config(file)
    database = await open_database(config, wait_s=5)
    store = Messages(database, keep_ms=3_600_000)
    try:
        for start in range(first, first + messages, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, first + messages))
            drafts = (_draft(config, campaign, client, n, expires_at_ms) for n in numbers)
            answers = await asyncio.gather(*(store.accept(one, new_message_id()) for one in drafts))
            refused = [one for one in answers if not isinstance(one, Accepted)]
            if refused:
                raise SystemExit(f"not accepted: {refused[0]}")
    finally:
        await database.close()


def _draft(config: Config, campaign: str, client: str, n: int, expires_at_ms: int | None) -> Draft:
    whose = config.clients[client]
    url = str(whose.callback_url)
    return Draft(
        client=whose,
        campaign=config.campaigns[campaign],
        body=Body(f"+849{n:08d}", f"login-{n % 10_000:04d}", {}, url, {}),
        otp_code=Secret.of(f"{1 + n % 999_999:06d}") if campaign == CAMPAIGN else None,
        ttl_ms=None if expires_at_ms else 3_600_000,
        expires_at_ms=expires_at_ms,
        destination=str(parse_callback_url(url).origin),
        traceparent=None,
        idempotency_key=f"filled-{n}",
        canonical_body=b"message %d" % n,
    )
