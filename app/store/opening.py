"""Opens the store: connects, asks whether this Redis can keep a promise, and finds or makes the index secret."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

import structlog
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from app.config import ConfigError, Fault
from app.sealing import Index, Keyring, UnsealableError
from app.store.commit import Committer, Confirmation
from app.store.connection import connect_raw
from app.store.database import Database, unavailable
from app.store.faults import StoreUnavailableError, StoreUnfitError

if TYPE_CHECKING:
    from app.config import Config, RedisConfig
    from app.store.connection import Client

log = structlog.get_logger()

LOGIN_REFUSED = "redis refuses the login: mend user and password in [redis] url"
KEY_MISSING = "redis holds data sealed with another key: add that one to [storage] encryption_keys"
CONFIRM_TIMEOUT_MS = 3000
_LOOK_AGAIN_S = 0.2
INDEX_SECRET = "relay:index-secret"


async def open_database(config: Config, *, wait_s: float = 0) -> Database:
    """The store, ready for use. Redis may take up to `wait_s` to appear, which is said once.

    `StoreUnavailableError` if it does not; `StoreUnfitError` if it could lose messages as it is set up, or if no key
    opens the secret of its indexes.
    """
    if config.redis.shards > 1:
        raise StoreUnfitError("shards > 1 is not served by this version: set [redis] shards = 1")
    client = connect_raw(config.redis.url)
    try:
        keyring, index, confirmation = await _once_there(client, config, wait_s)
    except BaseException:
        await client.aclose()
        raise
    # A group's exchange has one deadline of its own, so that no timer is set for each reply.
    writer = connect_raw(config.redis.url, socket_timeout=None)
    runner = connect_raw(config.redis.url, socket_timeout=None)
    return Database(client, keyring, index, Committer(writer, confirmation), Committer(runner, None))


async def with_keys_of(config: Config, database: Database) -> Database:
    """The store that is open already, under the keys of this configuration.

    `UnsealableError` if they do not open it; `StoreUnavailableError`.
    """
    keyring = Keyring(config.storage.encryption_keys)
    try:
        await _index_secret(database.client, keyring)
    except StoreUnfitError:
        raise UnsealableError("no key opens the secret of the indexes") from None
    except (RedisError, OSError) as error:
        raise unavailable(error) from None
    return database.under(keyring)


def lacks_its_key(file: str) -> ConfigError:
    """What is wrong with a file under whose keys the store does not open."""
    found, expected = "no key that opens what redis holds", "the key in force too, behind the new one"
    return ConfigError((Fault(file, "storage.encryption_keys", found, expected),))


async def _once_there(
    client: Client, config: Config, wait_s: float
) -> tuple[Keyring, Index, Confirmation | None]:
    give_up, said = time.monotonic() + wait_s, False
    keyring = Keyring(config.storage.encryption_keys)
    while True:
        try:
            confirmation = await _confirmation(client, config.redis)
            return keyring, Index(await _index_secret(client, keyring)), confirmation
        except AuthenticationError:
            raise StoreUnfitError(LOGIN_REFUSED) from None
        except (RedisError, OSError) as error:
            if time.monotonic() >= give_up:
                hint = (
                    "" if isinstance(error, ResponseError) else ": is it running, and is [redis] url right?"
                )
                raise StoreUnavailableError(f"{unavailable(error)}{hint}") from error
            if not said:
                log.warning("redis is away, waiting for it", task="start", error=str(unavailable(error)))
            said = True
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _confirmation(client: Client, redis: RedisConfig) -> Confirmation | None:
    settings = await _settings(client)
    policy = settings.get("maxmemory-policy")
    if policy not in (None, "noeviction"):
        raise StoreUnfitError(
            f"redis evicts keys when it is full (maxmemory-policy {policy}), and would drop messages: "
            "set `maxmemory-policy noeviction`"
        )
    if redis.durability == "memory":
        return None
    if redis.durability == "replica":
        return Confirmation(("WAIT", "1", str(CONFIRM_TIMEOUT_MS)), (1,))
    if settings.get("appendonly") == "no":
        raise StoreUnfitError(
            'durability = "fsync" needs an append-only file: set `appendonly yes` in redis, '
            'or choose durability = "replica" or "memory"'
        )
    if settings.get("appendfsync") == "always":
        return None
    return Confirmation(("WAITAOF", "1", "0", str(CONFIRM_TIMEOUT_MS)), (1, 0))


async def _settings(client: Client) -> dict[str, str]:
    """What CONFIG tells; nothing where a managed Redis forbids it."""
    try:
        flat = await cast("Callable[..., Awaitable[list[bytes]]]", client.execute_command)(
            "CONFIG", "GET", "maxmemory-policy", "appendonly", "appendfsync"
        )
    except ResponseError:
        return {}
    text = [one.decode() for one in flat]
    return dict(zip(text[::2], text[1::2], strict=True))


async def _index_secret(client: Client, keyring: Keyring) -> bytes:
    if await client.get(INDEX_SECRET) is None:  # a Redis that is full would take no second one either
        await client.set(INDEX_SECRET, keyring.seal(os.urandom(32), INDEX_SECRET), nx=True)
    sealed = await client.get(INDEX_SECRET)
    try:
        secret = keyring.open(sealed, INDEX_SECRET)
    except UnsealableError:
        raise StoreUnfitError(KEY_MISSING) from None
    if not keyring.is_current(sealed):
        await client.set(INDEX_SECRET, keyring.seal(secret, INDEX_SECRET))
    return secret
