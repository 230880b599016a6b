"""An account's one token, sealed and shared by all workers; and the lock of an account whose secret key is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from app.sealing import UnsealableError
from app.secret import Secret
from app.store.duties import drop_duty, take_duty

if TYPE_CHECKING:
    from app.store.database import Database

log = structlog.get_logger()

FIRST_PAUSE_MS = 5_000
LONGEST_PAUSE_MS = 600_000


@dataclass(frozen=True, slots=True)
class SharedToken:
    """A token and its generation, by which it alone is dropped. `expires_at_ms` None: it does not say."""

    value: Secret
    generation: str
    expires_at_ms: int | None
    made_at_ms: int


class Tokens:
    """The store's face for tokens."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def get(self, account: str) -> SharedToken | None:
        """The account's token, if there is one that opens; what an older key sealed is sealed anew."""
        sealed, expires, generation, made = await self._db.read(
            "HMGET", self._db.key("token", account), "t", "x", "g", "at"
        )
        if sealed is None:
            return None
        keyring, bound_to = self._db.keyring, f"token/{account}"
        try:
            clear = keyring.open(sealed, bound_to).decode()
        except UnsealableError:
            log.warning(
                "token cannot be opened, another is made: is a key missing in [storage] encryption_keys",
                account=account,
            )
            return None
        if not keyring.is_current(sealed):
            await self._db.run("reseal_token", account, generation, keyring.seal(clear.encode(), bound_to))
        return SharedToken(Secret.of(clear), generation.decode(), int(expires) or None, int(float(made)))

    async def locked_for_ms(self, account: str) -> int:
        """How long the account's secret key is not to be tried; 0: it may be."""
        until, clock = await self._db.read_many(
            [("HGET", self._db.key("locked", account), "until"), ("TIME",)]
        )
        now_ms = int(clock[0]) * 1000 + int(clock[1]) // 1000
        return max(0, int(float(until)) - now_ms) if until else 0

    async def may_make(self, account: str, owner: str, *, lease_ms: int) -> bool:
        """Whether this worker alone is to make a token now; the right ends by itself after `lease_ms`."""
        return await take_duty(self._db, f"making:{account}", owner, lease_ms)

    async def stop_making(self, account: str, owner: str) -> None:
        """Gives the right to make a token back, when making it failed or was not needed."""
        await drop_duty(self._db, f"making:{account}", owner)

    async def store(self, account: str, token: Secret, expires_at_ms: int | None, owner: str) -> None:
        """Keeps a new token for all."""
        sealed = self._db.keyring.seal(token.reveal().encode(), f"token/{account}")
        await self._db.run("store_token", account, sealed, expires_at_ms or 0, owner)

    async def drop(self, account: str, generation: str) -> bool:
        """Drops the token of that generation; False if another had replaced it."""
        return bool(await self._db.run("drop_token", account, generation))

    async def lock(self, account: str, owner: str) -> tuple[int, int]:
        """The secret key was refused: for how long it is not tried, in ms, and how often in a row it was refused."""
        pause_ms, refusals = await self._db.run(
            "lock_account", account, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, owner
        )
        return pause_ms, refusals
