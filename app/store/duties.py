"""Who does what one worker at a time does, and the heartbeat by which a worker that died is missed.

A worker is missed when its heartbeat has not been heard for `HEARTBEAT_LIFE_MS`. It may be stopped rather than dead, so
nothing that could call a phone twice rests on this: only what a second worker may do besides, or what a script refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.store.database import Database

HEARTBEAT_LIFE_MS = 3_000


async def beat(database: Database, worker: str) -> None:
    """Says that the worker is alive. `StoreUnavailableError` if Redis is away."""
    await keep_duty(database, f"alive:{worker}", worker, HEARTBEAT_LIFE_MS)


async def fall_silent(database: Database, worker: str) -> None:
    """Says that the worker is gone. `StoreUnavailableError` if Redis is away."""
    await database.read("DEL", database.key("alive", worker))


async def take_duty(database: Database, duty: str, worker: str, for_ms: int) -> bool:
    """Whether nobody who is alive has the duty: then it is this worker's until `for_ms` from now."""
    return bool(await database.run("take_duty", duty, worker, for_ms, ""))


async def keep_duty(database: Database, duty: str, worker: str, for_ms: int) -> bool:
    """As `take_duty`, and who has it already keeps it."""
    return bool(await database.run("take_duty", duty, worker, for_ms, "1"))


async def drop_duty(database: Database, duty: str, worker: str) -> None:
    """Lets another have the duty at once, if it still is this worker's."""
    await database.run("drop_duty", duty, worker)
