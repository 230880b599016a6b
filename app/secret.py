"""A secret that can be used but not seen.

Owns the one type that carries a secret through the program. It never has a printable form: `repr`, `str` and
`format` give `<secret>`, and pickling, copying, json and msgspec refuse it. Only `reveal` gives the text, where it is
used.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import structlog

log = structlog.get_logger()

_LARGEST_FILE = 64 * 1024


class SecretUnreadableError(Exception):
    """A secret could not be had. The text tells the variable or the file, never the secret."""


class Secret:
    """Text that stands nowhere but where it is used. Compared in constant time; not hashable."""

    __slots__ = ("_read",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    @classmethod
    def of(cls, value: str) -> Secret:
        """The given text itself."""
        return cls(lambda: value)

    @classmethod
    def from_env(cls, name: str, env: Mapping[str, str] | None = None) -> Secret:
        """The text of the environment variable `name`, as it is now.

        `SecretUnreadableError` if it is unset or empty.
        """
        value = (os.environ if env is None else env).get(name, "")
        if not value:
            raise SecretUnreadableError(f"the environment variable {name} is not set")
        return cls.of(value)

    @classmethod
    def from_file(cls, path: Path) -> Secret:
        """The text of the file, less one newline at its end, read again whenever the file has changed.

        `SecretUnreadableError` if it cannot be read now. A later change that cannot be read, or is empty,
        leaves the last text in use.
        """
        return cls(_WatchedFile(path).read)

    def reveal(self) -> str:
        """The secret's text. Use it and drop it: do not keep it, or a changed file goes unseen."""
        return self._read()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # What stands in the environment may be no UTF-8, and the fault of a plain encode would carry it.
        mine, its = (one.reveal().encode(errors="surrogatepass") for one in (self, other))
        return hmac.compare_digest(mine, its)

    def __repr__(self) -> str:
        return "<secret>"

    def __format__(self, spec: str) -> str:
        return "<secret>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")


_Stamp = tuple[int, int, int]


class _WatchedFile:
    """A small file's text, kept until its modification time, size or inode changes."""

    __slots__ = ("_path", "_stamp", "_text")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp, self._text = _read_stamped(path)

    def read(self) -> str:
        try:
            if _stamp_of(os.stat(self._path)) == self._stamp:
                return self._text
            self._stamp, self._text = _read_stamped(self._path)
        except (OSError, SecretUnreadableError) as fault:
            log.warning("secret file unreadable, last text kept", file=str(self._path), fault=str(fault))
        return self._text


def _stamp_of(stat: os.stat_result) -> _Stamp:
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _read_stamped(path: Path) -> tuple[_Stamp, str]:
    try:
        with path.open("rb") as file:
            stamp = _stamp_of(os.fstat(file.fileno()))
            raw = file.read(_LARGEST_FILE + 1)
    except OSError as fault:
        raise SecretUnreadableError(f"the file {path} cannot be read: {fault.strerror}") from fault
    return stamp, _text_of(raw, path)


def _text_of(raw: bytes, path: Path) -> str:
    if len(raw) > _LARGEST_FILE:
        raise SecretUnreadableError(f"the file {path} is larger than {_LARGEST_FILE} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        # The decoder's own error carries the bytes: it must not be chained.
        raise SecretUnreadableError(f"the file {path} is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise SecretUnreadableError(f"the file {path} is empty")
    return text
