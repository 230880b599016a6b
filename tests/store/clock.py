"""A clock that a test sets: the scripts as they are, save that the time is handed to them instead of Redis' own.

Scripts take the time from Redis in one line of the prelude. Here that line reads a second key's name instead, so the
scripts of the product stay as they are, and a step of the clock, ahead or back, costs nothing. Keys that end by
themselves are aged by the same step.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from redis.exceptions import NoScriptError

from app.sealing import Index, Keyring
from app.secret import Secret
from app.store.commit import Committer
from app.store.connection import connect_raw
from app.store.database import PREFIX, Argument, Database, Reply
from app.store.lua import Script, script
from tests.store.desk import Desk

_TAKES_THE_TIME = "local NOW = clock()"
_IS_TOLD_THE_TIME = "local NOW = tonumber(KEYS[2])"
_KEY = Secret.of("ZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWU=")

START_MS = 1_790_000_000_000

_AGE = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 then
    left = left - ARGV[1]
    if left <= 0 then redis.call('DEL', key) else redis.call('PEXPIRE', key, left) end
  end
end
"""


@cache
def _told(name: str) -> Script:
    text = script(name).text
    assert text.count(_TAKES_THE_TIME) == 1
    text = text.replace(_TAKES_THE_TIME, _IS_TOLD_THE_TIME)
    return Script(name, text, hashlib.sha1(text.encode()).hexdigest())


class ToldTime(Database):
    """A database whose scripts believe that it is `now_ms`. A script's own error comes through as Redis said it."""

    now_ms = START_MS

    async def run(self, name: str, *args: Argument) -> Reply:
        """The answer of the script."""
        told = _told(name)
        try:
            return await self._execute("EVALSHA", told.digest, 2, PREFIX, self.now_ms, *args)
        except NoScriptError:
            return await self._execute("EVAL", told.text, 2, PREFIX, self.now_ms, *args)

    async def commit(self, name: str, *args: Argument) -> Reply:
        """As `run`: nothing is lost here."""
        return await self.run(name, *args)

    async def step(self, by_ms: int) -> None:
        """Time passes, or the clock is set back."""
        self.now_ms += by_ms
        await self.read("EVAL", _AGE, 0, by_ms)


class SteppedDesk(Desk):
    """A desk whose time is the test's."""

    def __init__(self, database: ToldTime) -> None:
        super().__init__(database)
        self.clock = database

    async def now_ms(self) -> int:
        """The test's time."""
        return self.clock.now_ms


@asynccontextmanager
async def open_stepped_desk(url: str) -> AsyncIterator[SteppedDesk]:
    """A desk over an emptied Redis, at the same time each time."""
    client = connect_raw(url)
    database = ToldTime(client, Keyring([_KEY]), Index(b"i" * 32), Committer(client, None))
    try:
        await database.read("FLUSHALL")
        yield SteppedDesk(database)
    finally:
        await database.close()
