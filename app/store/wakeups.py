"""Wake-ups: hints that there is work, at most one a campaign. The sweep mends a lost one."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, cast

from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.store.connection import connect_raw
from app.store.database import PREFIX, unavailable

if TYPE_CHECKING:
    from app.store.database import Database

PUSH = ">push"
"""The name under which due callbacks wake the pusher; no campaign can be called so."""

_BLOCK_S = 5


class WakeUps:
    """A blocking read of its own connection."""

    def __init__(self, url: str) -> None:
        self._client = connect_raw(url, socket_timeout=_BLOCK_S + 5)

    async def next(self) -> str | None:
        """The campaign that has work, or `PUSH`; None after some seconds of quiet.

        `StoreUnavailableError` if Redis is away.
        """
        try:
            found = await cast(
                "Awaitable[list[bytes] | None]", self._client.blpop([f"{PREFIX}wake"], timeout=_BLOCK_S)
            )
        except RedisTimeoutError:
            return None
        except RedisError as error:
            raise unavailable(error) from None
        return None if found is None else found[1].decode()

    async def close(self) -> None:
        """Ends the connection."""
        await self._client.aclose()


async def wake_again(database: Database, campaign: str) -> None:
    """Wakes for the campaign, whatever the flag of an earlier, perhaps lost, wake-up says."""
    await database.run("wake_again", campaign)
