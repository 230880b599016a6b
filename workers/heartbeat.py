"""Says once a second that this worker is alive, so that what it had in hand is taken up soon after it died."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.store.duties import HEARTBEAT_LIFE_MS, beat

if TYPE_CHECKING:
    from app.store.database import Database
    from workers.crew import Crew

_EVERY_S = HEARTBEAT_LIFE_MS / 3000


class Heartbeat:
    """This worker's. The first is made before anything is leased."""

    def __init__(self, database: Database, worker: str, crew: Crew) -> None:
        self._database = database
        self._worker = worker
        self._crew = crew
        self._never = asyncio.Event()

    async def run(self) -> None:
        """Until the crew stops."""
        while not self._crew.stopping.is_set():
            await beat(self._database, self._worker)
            await self._crew.wait_for(self._never, _EVERY_S)
