"""A secret that can be used but not seen.

Owns the one type that carries a secret through the program. It never has a printable form: `repr`, `str` and
`format` give `<secret>`, and pickling, copying, json and msgspec refuse it. Only `reveal` gives the text, where it is
used.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

_LARGEST_FILE = 64 * 1024


class SecretUnreadableError(Exception):
    """A secret could not be had. The text tells the variable or the file, never the secret."""


class Secret:
    """Text that stands nowhere but where it is used. Compared in constant time; not hashable."""

    __slots__ = ("_text",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def of(cls, value: str) -> Secret:
        """The given text itself."""
        return cls(value)

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
        """The file's text as it is now, less one newline at its end. `SecretUnreadableError` if it cannot be read."""
        return cls(_text_in(path))

    def reveal(self) -> str:
        """The secret's text. Use it and drop it."""
        return self._text

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


def _text_in(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_FILE + 1)
    except OSError as fault:
        raise SecretUnreadableError(f"the file {path} cannot be read: {fault.strerror}") from fault
    return _text_of(raw, path)


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
