"""What can go wrong between a process and Redis, told apart by what was written."""

from __future__ import annotations


class StoreError(Exception):
    """Base of all; the texts hold no key, no value and no URL."""


class StoreUnavailableError(StoreError):
    """Redis is away, refuses writes or is out of memory: nothing was written."""


class OutcomeUnknownError(StoreError):
    """The connection broke, or the durability asked for was not confirmed, after the write was sent."""


class StoreUnfitError(StoreError):
    """Redis is set up in a way that could lose messages; the text says how to mend it."""
