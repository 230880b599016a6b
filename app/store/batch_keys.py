"""A batch's idempotency key: one key for the whole, and the answer that it gives again.

Each of the batch's messages has a key of its own besides, made from this one, so that a batch that a crash cut short
is taken up where it stood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.store.messages import IDEMPOTENCY_LIFE_MS, KeyConflict

if TYPE_CHECKING:
    from app.store.database import Database


@dataclass(frozen=True, slots=True)
class Reserved:
    """The key is this batch's, and no answer was kept yet."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer that was kept first, byte for byte."""

    answer: bytes


def item_key(key: str, index: int) -> str:
    """The key of the message at `index`. No header can hold it, for it has a control character."""
    return f"{key}\0{index}"


class BatchKeys:
    """Keys of batches, for 24 hours."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def reserve(
        self, client: str, key: str, canonical_body: bytes
    ) -> Reserved | Answered | KeyConflict:
        """Binds the key to the body. Errors as of `Messages.accept`."""
        return await self._run(client, key, canonical_body, None)

    async def keep(self, client: str, key: str, canonical_body: bytes, answer: bytes) -> bytes:
        """Keeps the answer, sealed; gives the one that was kept first, which may be another's."""
        kept = await self._run(client, key, canonical_body, answer)
        return kept.answer if isinstance(kept, Answered) else answer

    async def _run(
        self, client: str, key: str, canonical_body: bytes, answer: bytes | None
    ) -> Reserved | Answered | KeyConflict:
        index, keyring = self._db.index, self._db.keyring
        hashed = index.of("idempotency", key)
        sealed = b"" if answer is None else keyring.seal(answer, f"idem/{hashed}")
        reply = await self._db.commit(
            "batch_key", client, hashed, index.fingerprint(canonical_body), IDEMPOTENCY_LIFE_MS, sealed
        )
        match reply[0].decode():
            case "answered":
                return Answered(keyring.open(reply[1], f"idem/{hashed}"))
            case "reserved":
                return Reserved()
            case _:
                return KeyConflict()
