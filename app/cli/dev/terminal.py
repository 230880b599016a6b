"""What `dev` prints: written by a thread of its own, so that a terminal that stands still holds up no part.

Bounded: what does not fit is dropped. Writes past Python's buffers, for their lock must not be held at the end.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

_MOST_WAITING = 2000

STDOUT = 1
STDERR = 2


class Terminal:
    """Standard output and standard error. `gone` is called, from the thread, when nobody reads them any more."""

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone
        self._waiting: queue.Queue[tuple[int, bytes] | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._write_all, daemon=True)
        self._thread.start()

    def print(self, text: str) -> None:
        """A line, or several, for whoever asked."""
        self._put(STDOUT, text)

    def warn(self, text: str) -> None:
        """A line on standard error."""
        self._put(STDERR, text)

    def close(self, timeout_s: float) -> None:
        """Waits until all is written, at most so long."""
        try:
            self._waiting.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _put(self, descriptor: int, text: str) -> None:
        try:
            self._waiting.put_nowait((descriptor, f"{text}\n".encode(errors="replace")))
        except queue.Full:
            return

    def _write_all(self) -> None:
        while (item := self._waiting.get()) is not None:
            try:
                _write(*item)
            except OSError:
                self._gone()


def _write(descriptor: int, raw: bytes) -> None:
    while raw:
        raw = raw[os.write(descriptor, raw) :]
