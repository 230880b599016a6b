"""Hands coarse jobs to the workers, through arq. A lost job changes nothing but latency."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from arq.connections import ArqRedis
from redis.exceptions import RedisError

from app.store.connection import connect
from app.store.database import unavailable

if TYPE_CHECKING:
    from app.message import CallbackState

QUEUE = "relay:arq"
REPLAY_CALLBACKS = "replay_callbacks"


class Jobs:
    """arq's queue, as the API uses it."""

    def __init__(self, queue_url: str) -> None:
        self._arq = cast("ArqRedis", connect(queue_url, client_class=ArqRedis))

    async def replay_callbacks(
        self, client: str, since_ms: int, state: CallbackState, destination: str | None = None
    ) -> None:
        """Asks a worker to send the client's events since then, whose delivery is in that state, again.

        `destination`: those that go there alone.
        `StoreUnavailableError` if the queue cannot be reached.
        """
        try:
            to = () if destination is None else (destination,)
            await self._arq.enqueue_job(
                REPLAY_CALLBACKS, client, since_ms, state.value, *to, _queue_name=QUEUE
            )
        except RedisError as error:
            raise unavailable(error) from None

    async def close(self) -> None:
        """Ends every connection."""
        await self._arq.aclose()
