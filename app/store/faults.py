"""What can go wrong between a process and Redis, told apart by what was written."""

from __future__ import annotations

from redis.exceptions import NoPermissionError, OutOfMemoryError, ReadOnlyError, ResponseError

_CUT_OFF: dict[type[ResponseError], str] = {
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
    NoPermissionError: "NOPERM",
}
"""The first words of answers that the library knows and takes off."""


class StoreError(Exception):
    """Base of all; the texts hold no key, no value and no URL."""


class StoreUnavailableError(StoreError):
    """Redis is away, refuses writes or is out of memory: nothing was written."""


class OutcomeUnknownError(StoreError):
    """The connection broke, or the durability asked for was not confirmed, after the write was sent."""


class StoreUnfitError(StoreError):
    """Redis is set up in a way that could lose messages; the text says how to mend it."""


def refused(error: ResponseError) -> StoreUnavailableError:
    """A refusal by its first word, such as `OOM`; the rest of an answer may name keys."""
    word = _CUT_OFF.get(type(error)) or str(error).partition(" ")[0]
    return StoreUnavailableError(f"redis refused: {word}")
