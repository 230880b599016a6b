"""Waits for messages to become final: one subscription a process, however many wait.

The scripts publish each id that becomes final. A publication can be lost, so every two seconds the states of all that
is waited for are read in one round trip. Owns no message and changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from app.message import FINAL
from app.store.faults import StoreError

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub

    from app.store.database import Database

log = structlog.get_logger()

REREAD_S = 2.0
_RESUBSCRIBE_S = 1.0
_FINAL = frozenset(state.value.encode() for state in FINAL)


class FinalWatch:
    """The process's one subscription. It begins with the first who waits."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    @contextlib.contextmanager
    def expecting(self, message_id: str) -> Iterator[asyncio.Event]:
        """An event that is set once the message may be final, from now on; look at the message after entering.

        It is also set when the process stops, so that nobody waits for what will not come.
        """
        ends = asyncio.Event()
        if self._closed:
            ends.set()
        elif not self._tasks:
            self._tasks = [
                asyncio.create_task(self._listen(), name="final messages"),
                asyncio.create_task(self._reread(), name="final messages, read again"),
            ]
        self._waiting[message_id].add(ends)
        try:
            yield ends
        finally:
            self._waiting[message_id].discard(ends)
            if not self._waiting[message_id]:
                del self._waiting[message_id]

    def release_all(self) -> None:
        """Ends every wait, and every later one at once: the process stops."""
        self._closed = True
        for message_id in list(self._waiting):
            self._release(message_id)

    async def close(self) -> None:
        """Ends every wait and the subscription."""
        self.release_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _release(self, message_id: str) -> None:
        for ends in self._waiting.get(message_id, ()):
            ends.set()

    async def _listen(self) -> None:
        said = False
        while True:
            subscription = self._db.client.pubsub(ignore_subscribe_messages=True)
            try:
                await subscription.subscribe(self._db.key("final"))
                said = False
                await self._hear(subscription)
            except (RedisError, OSError) as error:
                if not said:
                    log.warning("subscription to final messages lost", fault=type(error).__name__)
                said = True
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await subscription.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(_RESUBSCRIBE_S)

    async def _hear(self, subscription: PubSub) -> None:
        while True:
            said = await subscription.get_message(timeout=REREAD_S)
            if said is not None:
                self._release(said["data"].decode())

    async def _reread(self) -> None:
        while True:
            await asyncio.sleep(REREAD_S)
            waited_for = list(self._waiting)
            if not waited_for:
                continue
            try:
                states = await self._db.read_many(
                    [("HGET", self._db.key("m", one), "s") for one in waited_for]
                )
            except StoreError:
                continue  # whoever waits is answered at its own end
            for message_id, state in zip(waited_for, states, strict=True):
                if state is None or state in _FINAL:
                    self._release(message_id)
