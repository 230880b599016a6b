"""Runs the scripts: one shard's prefix, the keyring and the index secret, and durability where it is asked for.

Owns the way from a script's name to its answer. The calls of concurrent tasks are joined into one round trip; `run`
waits for nothing but Redis, `commit` also for what `durability` names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.sealing import Index, Keyring
from app.store.commit import Committer
from app.store.faults import OutcomeUnknownError, StoreUnavailableError, refused
from app.store.lua import script

if TYPE_CHECKING:
    from app.store.connection import Client

Argument = str | bytes | int
Reply = Any
"""What a script gives, as redis-py reads it: bytes, int, None, or a list of these. Each module of the store turns
it into types of its own; it goes no further."""

PREFIX = "relay:{0}:"


class Database:
    """What every part of the store is given."""

    def __init__(
        self,
        client: Client,
        keyring: Keyring,
        index: Index,
        committer: Committer,
        runner: Committer | None = None,
    ) -> None:
        self.client = client
        self.keyring = keyring
        self.index = index
        self._committer = committer
        self._runner = committer.beside() if runner is None else runner

    def under(self, keyring: Keyring) -> Database:
        """The same store, sealing and opening with these keys. Its connections are ended once, by either."""
        return Database(self.client, keyring, self.index, self._committer, self._runner)

    def key(self, *parts: str) -> str:
        """A key of the shard."""
        return PREFIX + ":".join(parts)

    async def run(self, name: str, *args: Argument) -> Reply:
        """The answer of the script. `StoreUnavailableError` if Redis is away or refuses."""
        try:
            return await self._runner.run(script(name), PREFIX, args)
        except OutcomeUnknownError:
            raise StoreUnavailableError("redis cannot be reached") from None

    async def commit(self, name: str, *args: Argument) -> Reply:
        """As `run`, durable as configured when it returns. `OutcomeUnknownError` if that could not be confirmed."""
        return await self._committer.run(script(name), PREFIX, args)

    async def read(self, command: str, *args: Argument) -> Reply:
        """The answer of one plain command. `StoreUnavailableError` if Redis is away or refuses."""
        try:
            return await self._execute(command, *args)
        except RedisError as error:
            raise unavailable(error) from None

    async def read_many(self, commands: Sequence[tuple[Argument, ...]]) -> list[Reply]:
        """The answers of several plain commands in one round trip."""
        pipe = self.client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        try:
            return await pipe.execute()
        except RedisError as error:
            raise unavailable(error) from None

    async def _execute(self, *command: Argument) -> Reply:
        return await cast("Callable[..., Awaitable[Reply]]", self.client.execute_command)(*command)

    async def close(self) -> None:
        """Ends every connection."""
        await self._runner.close()
        await self._committer.close()
        await self.client.aclose()


def unavailable(error: Exception) -> StoreUnavailableError:
    """The error in our words. The library's texts name hosts and keys; the kind is enough."""
    if isinstance(error, ResponseError):
        return refused(error)
    if isinstance(error, RedisConnectionError | RedisTimeoutError | asyncio.TimeoutError):
        return StoreUnavailableError("redis cannot be reached")
    return StoreUnavailableError(f"redis failed: {type(error).__name__}")
