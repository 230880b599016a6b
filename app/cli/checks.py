"""What `check` asks of Redis and of the provider, and what to mend where the answer is not as it should be.

Asks only: makes a token and reads one row, imports nothing. No text here holds a URL, a token or a secret.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from app.cli.check_keys import keys_in_use
from app.cli.finding import Finding
from app.provider.client import AccessToken, ProviderClient
from app.provider.errors import NotSent, ProviderError, Refusal, Refused
from app.secret import SecretUnreadableError
from app.store.connection import connect
from app.store.faults import StoreError
from app.store.in_use import in_use
from app.store.opening import open_database

if TYPE_CHECKING:
    from app.config import AccountConfig, CampaignConfig, Config

_HOUR_MS = 3_600_000

_MEND = {
    Refusal.SECRET_KEY: "the provider refuses its secret_key: copy the present one from the provider's website",
    Refusal.TOKEN: "the provider refuses the token it has just made: was the secret_key changed a moment ago?",
    Refusal.CAMPAIGN: "the provider knows no such campaign in this account: see its campaign_id and account",
    Refusal.THROTTLED: "the provider asks for a pause: check again later",
}


async def findings(config: Config, *, scan_s: float, seen: Callable[[int, int], None]) -> list[Finding]:
    """Everything, Redis first, then each account with its campaigns, in the file's order, then the encryption keys.

    Redis is looked through for `scan_s` at most; `seen` is told how many of how many keys were looked at.
    """
    asked = [_redis(config, scan_s, seen), *(_account(config, one) for one in config.accounts.values())]
    if config.redis.queue_url != config.redis.url:
        asked.insert(1, _queue(config.redis.queue_url))
    found = [finding for part in await asyncio.gather(*asked) for finding in part]
    return sorted(found, key=lambda finding: finding.what == "key")


async def _redis(config: Config, scan_s: float, seen: Callable[[int, int], None]) -> list[Finding]:
    try:
        database = await open_database(config)
    except StoreError as error:
        return [Finding("redis", "url", False, str(error))]
    try:
        kept = await in_use(database, config)
        keys = await keys_in_use(database, scan_s, seen)
    except StoreError as error:
        return [Finding("redis", "url", False, str(error))]
    finally:
        await database.close()
    lost = [Finding("in use", one.key, False, f"found {one.how}, expected {one.expected}") for one in kept]
    return [Finding("redis", "url", True), *lost, *keys]


async def _queue(url: str) -> list[Finding]:
    client = connect(url)
    try:
        await client.ping()
    except (RedisError, OSError):
        return [
            Finding("queue", "queue_url", False, "cannot be reached: is it running, and is queue_url right?")
        ]
    finally:
        await client.aclose()
    return [Finding("queue", "queue_url", True)]


async def _account(config: Config, account: AccountConfig) -> list[Finding]:
    campaigns = [each for each in config.campaigns.values() if each.account == account.name]
    client = ProviderClient(account)
    try:
        token = await client.make_token()
    except (ProviderError, SecretUnreadableError) as error:
        skipped = [
            Finding("campaign", each.name, False, "not asked: its account failed") for each in campaigns
        ]
        return [Finding("account", account.name, False, _mend(error)), *skipped]
    else:
        asked = await asyncio.gather(*(_campaign(client, token, each) for each in campaigns))
        return [Finding("account", account.name, True), *asked]
    finally:
        await client.aclose()


async def _campaign(client: ProviderClient, token: AccessToken, campaign: CampaignConfig) -> Finding:
    now_ms = time.time_ns() // 1_000_000
    try:
        await client.export_campaign(
            campaign.campaign_id, token, start_ms=now_ms - _HOUR_MS, end_ms=now_ms, limit=1, offset=0
        )
    except ProviderError as error:
        return Finding("campaign", campaign.name, False, _mend(error))
    return Finding("campaign", campaign.name, True)


def _mend(error: ProviderError | SecretUnreadableError) -> str:
    match error:
        case Refused(code=code):
            return _MEND.get(code, f"the provider refused ({code.value})")
        case NotSent():
            return f"the provider cannot be reached ({error.detail}): see base_url, ca_file and the network"
        case ProviderError():
            return f"the provider's answer is not the document's ({error.detail}): is base_url right?"
        case _:
            return str(error)
