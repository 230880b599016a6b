"""Group commit: the script calls of concurrent requests travel together, and one wait for durability serves all.

One connection, one group under way: while it is, the next one gathers. Owns the distinction the contract makes
between what was surely not written (`StoreUnavailableError`) and what may have been (`OutcomeUnknownError`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.exceptions import BusyLoadingError, NoScriptError, RedisError, ResponseError

from app.store.connection import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S
from app.store.faults import OutcomeUnknownError, StoreError, StoreUnavailableError, refused

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

    from app.store.connection import Client
    from app.store.lua import Script

_LARGEST_GROUP = 128
_MOST_WAITING = 10_000
_LONGEST_WAIT_S = 2.0
"""What waited longer for the groups before it is not sent: its caller learns surely that nothing was written."""
_CLOSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The command that a group ends with, and the replies of it that confirm. None: nothing to wait for."""

    command: tuple[str, ...]
    least: tuple[int, ...]

    def confirms(self, reply: object) -> bool:
        """Whether the reply says that as many copies hold the writes as were asked for."""
        counts = reply if isinstance(reply, list) else [reply]
        return all(isinstance(n, int) and n >= least for n, least in zip(counts, self.least, strict=False))


@dataclass(slots=True)
class _Call:
    script: Script
    prefix: str
    args: Sequence[str | bytes | int]
    since_s: float
    answer: asyncio.Future[Any]

    def fail(self, error: StoreError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Committer:
    """Runs scripts durably. `start` nothing: the first call starts the one task that owns the connection."""

    def __init__(self, client: Client, confirmation: Confirmation | None) -> None:
        self._client = client
        self._confirmation = confirmation
        self._waiting: deque[_Call] = deque()
        self._task: asyncio.Task[None] | None = None

    def beside(self) -> Committer:
        """Another one on the same connections, which waits for nothing but the answers."""
        return Committer(self._client, None)

    async def run(self, script: Script, prefix: str, args: Sequence[str | bytes | int]) -> Any:  # noqa: ANN401  what a script gives
        """The script's answer, once it is durable: within `_LONGEST_WAIT_S`, a connection's time and an answer's."""
        if len(self._waiting) >= _MOST_WAITING:
            raise StoreUnavailableError("too many writes are waiting for redis")
        loop = asyncio.get_running_loop()
        call = _Call(script, prefix, args, loop.time(), loop.create_future())
        self._waiting.append(call)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain(), name="group commit")
        return await call.answer

    async def close(self) -> None:
        """Waits for the group under way."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, timeout=_CLOSE_S)
        await self._client.aclose()

    async def _drain(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(_LARGEST_GROUP, len(self._waiting)))]
            too_old_s = asyncio.get_running_loop().time() - _LONGEST_WAIT_S
            while group and group[0].since_s < too_old_s:
                group.pop(0).fail(StoreUnavailableError("redis is too slow"))
            if not group:
                continue
            try:
                await self._send(group)
            finally:
                for call in group:
                    call.fail(OutcomeUnknownError("the write was interrupted"))

    async def _send(self, group: list[_Call]) -> None:
        pool = self._client.connection_pool
        try:
            # The library's own deadline ends before the greeting, which a server that hangs never answers.
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await pool.get_connection()
        except (RedisError, OSError, TimeoutError):
            for call in group:
                call.fail(StoreUnavailableError("redis cannot be reached"))
            return
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await self._exchange(connection, group)
        except (RedisError, OSError, TimeoutError) as error:
            await connection.disconnect(nowait=True)
            if isinstance(error, BusyLoadingError):  # it ends once: what follows the first may have been run
                group[0].fail(StoreUnavailableError("redis is loading its data"))
            for call in group:
                call.fail(OutcomeUnknownError("the connection to redis broke after the write was sent"))
        except asyncio.CancelledError:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    async def _exchange(self, connection: AbstractConnection, group: list[_Call]) -> None:
        replies, confirmed = await self._round_trip(
            connection, [("EVALSHA", call.script.digest, 1, call.prefix, *call.args) for call in group]
        )
        unknown = [
            call for call, reply in zip(group, replies, strict=True) if isinstance(reply, NoScriptError)
        ]
        self._answer(group, replies, confirmed)
        if unknown:
            again, confirmed = await self._round_trip(
                connection, [("EVAL", call.script.text, 1, call.prefix, *call.args) for call in unknown]
            )
            self._answer(unknown, again, confirmed)

    async def _round_trip(
        self, connection: AbstractConnection, commands: list[tuple[str | bytes | int, ...]]
    ) -> tuple[list[Any], bool]:
        wait = [self._confirmation.command] if self._confirmation else []
        await connection.send_packed_command(_packed([*commands, *wait]), check_health=False)
        replies = [await _reply(connection) for _ in commands]
        if self._confirmation is None:
            return replies, True
        return replies, self._confirmation.confirms(await _reply(connection))

    def _answer(self, group: list[_Call], replies: list[Any], confirmed: bool) -> None:
        for call, reply in zip(group, replies, strict=True):
            if isinstance(reply, NoScriptError) or call.answer.done():
                continue
            if isinstance(reply, ResponseError):
                call.fail(refused(reply))
            elif not confirmed:
                call.fail(OutcomeUnknownError("redis did not confirm the write in time"))
            else:
                call.answer.set_result(reply)


def _packed(commands: Sequence[Sequence[str | bytes | int]]) -> bytes:
    """The commands on the wire (RESP); the library's own packing costs three times as much."""
    parts: list[bytes] = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for argument in command:
            raw = argument if isinstance(argument, bytes) else str(argument).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


async def _reply(connection: AbstractConnection) -> object:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
