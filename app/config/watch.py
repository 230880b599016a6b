"""Takes up a changed configuration while the process runs: when it is asked to, and when a secret's file changed.

Owns when it is read and what is said of it. What is taken up, and how, is its owner's: `take_up` either has the whole
of the new configuration in force when it returns, or raises and has changed nothing. Never says a value of a file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import structlog

from app.config.changes import changed_keys, without_what_needs_a_restart
from app.config.fault import ConfigError
from app.config.secret_value import digests_of

if TYPE_CHECKING:
    from pathlib import Path

    from app.config.file import Loaded

log = structlog.get_logger()

LOOK_EVERY_S = 1.0
_READ_WITHIN_S = 10.0

TakeUp = Callable[["Loaded"], Awaitable[None]]


class Tell(Protocol):
    """Who counts: a metric, say."""

    def configuration_taken_up(self) -> None:
        """A configuration is in force from now on."""

    def configuration_refused(self, refused: bool) -> None:
        """A newer one was refused; or the newest is the one in force again."""


class NotNowError(Exception):
    """Whether the configuration can be taken up cannot be told now; the text says why. It is tried again."""


class ConfigWatch:
    """The configuration in force, and its changes. `run` needs an owner who keeps it running."""

    def __init__(self, loaded: Loaded, take_up: TakeUp, tell: Tell) -> None:
        self._loaded = loaded
        self._take_up = take_up
        self._tell = tell
        self._asked = False
        self._bell = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._refused: dict[Path, bytes] | None = None
        """The secret files of what was refused last."""
        self._by_itself = False
        """Whether that was only for a secret file, and nobody had asked."""
        self._file_refused = False
        """Whether the file itself was refused when it was last asked for."""
        self._left_out: list[str] = []
        self._waiting: str | None = None

    def ask(self) -> None:
        """Has the file read again. May be called from a signal's handler, also before `run`."""
        self._asked = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._bell.set)

    async def run(self) -> None:
        """Until it is cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                await self.look()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._bell.wait(), LOOK_EVERY_S)
                self._bell.clear()
        finally:
            self._loop = None

    async def look(self) -> None:
        """One look: reads again what was asked for or has changed, and has it taken up or says why not."""
        asked, self._asked = self._asked, False
        try:
            async with asyncio.timeout(_READ_WITHIN_S):
                now = await asyncio.to_thread(digests_of, self._loaded.secret_files)
                if not asked and not self._is_news(now):
                    return
                read = self._loaded.from_disk if asked else self._loaded.with_secrets_from_disk
                loaded = await asyncio.to_thread(read)
        except ConfigError as error:
            self._refuse(error, asked, now)
            return
        except TimeoutError:
            self._wait(asked, f"the files could not be read within {_READ_WITHIN_S:g} s")
            return
        await self._try(loaded, asked, now)

    def _is_news(self, now: dict[Path, bytes]) -> bool:
        if now == self._loaded.secret_files:
            if self._by_itself:
                self._tell.configuration_refused(self._file_refused)
                log.info("secret files are again as they are in force")
            self._refused, self._by_itself = None, False
            return False
        return now != self._refused

    async def _try(self, loaded: Loaded, asked: bool, now: dict[Path, bytes]) -> None:
        in_force = self._loaded.config
        config, left_out = without_what_needs_a_restart(in_force, loaded.config)
        loaded = replace(loaded, config=config)
        try:
            await self._take_up(loaded)
        except ConfigError as error:
            self._refuse(error, asked, now)
            return
        except NotNowError as error:
            self._wait(asked, str(error))
            return
        self._loaded = loaded
        self._refused, self._by_itself, self._waiting = None, False, None
        self._file_refused = self._file_refused and not asked
        self._tell.configuration_taken_up()
        if self._file_refused:
            self._tell.configuration_refused(True)
        if left_out and left_out != self._left_out:
            log.warning("configuration needs a restart for some keys, they stay as they were", keys=left_out)
        self._left_out = left_out
        log.info("configuration taken up", file=str(loaded.path), changed=changed_keys(in_force, config))

    def _refuse(self, error: ConfigError, asked: bool, now: dict[Path, bytes]) -> None:
        self._refused, self._by_itself, self._waiting = now, not asked, None
        self._file_refused = self._file_refused or asked
        self._tell.configuration_refused(True)
        log.error("configuration refused, the old stays", faults=[str(fault) for fault in error.faults])

    def _wait(self, asked: bool, why: str) -> None:
        """It is tried again at the next look, which is said once."""
        self._asked = self._asked or asked
        if why != self._waiting:
            log.warning("configuration waits to be taken up", error=why)
        self._waiting = why


@contextlib.contextmanager
def hangups(ask: Callable[[], None]) -> Iterator[None]:
    """Has SIGHUP ask, for the block; unless somebody else listens to it, or this is not the main thread.

    Where it comes because the terminal is gone, it ends the process as SIGTERM does.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGHUP) != signal.SIG_DFL
    ):
        yield
        return
    had_terminal = _has_terminal()

    def heed(*_: object) -> None:
        if had_terminal and not _has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            ask()

    signal.signal(signal.SIGHUP, heed)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
