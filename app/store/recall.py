"""What an idempotency key stands for, looked up without taking anything in.

For a request that would be refused today but was accepted before under its key: its answer does not change because
a list, a campaign or the clock did. Writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.message import MessageId
from app.store.messages import KeyConflict, Replayed
from app.store.records import Record, message_accepted, pieces_of

if TYPE_CHECKING:
    from app.store.database import Database


class Recall:
    """Reads the keys that `accept.lua` writes."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def of(self, client: str, key: str, canonical_body: bytes) -> Replayed | KeyConflict | None:
        """The first answer; or that the key was used with another body; or None: it was not used."""
        name = self._db.key("idem", client, self._db.index.of("idempotency", key))
        fingerprint, message_id = await self._db.read("HMGET", name, "f", "m")
        if fingerprint is None:
            return None
        if message_id is None or fingerprint.decode() != self._db.index.fingerprint(canonical_body):
            return KeyConflict()
        first_id = MessageId(message_id.decode())
        fields = ("ca", "at", "ex", *pieces_of("b"))
        record = Record.of(fields, await self._db.read("HMGET", self._db.key("m", first_id), *fields))
        if not record:
            return KeyConflict()
        return Replayed(message_accepted(self._db.keyring, first_id, record))
