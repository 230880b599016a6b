"""What can go wrong at the provider, as a tree that says what may be done next.

Owns no behaviour. No text here may ever carry a URL, a token, a number or a code: `detail` is one of a few
fixed phrases, and the client raises these outside of any `except`, so that no HTTP library's exception (whose
text holds the URL, and so the token) hangs on them as cause or context.
"""

from __future__ import annotations

from enum import StrEnum


class ProviderError(Exception):
    """Base of all. `detail` is short, fixed in its wording and safe to log."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotSent(ProviderError):
    """No byte of the request left this machine: safe to try again."""


class Ambiguous(ProviderError):
    """An import whose fate is unknown: all of it may have been taken. Never to be simply sent again."""


class Unreadable(ProviderError):
    """An export or a token was asked for and what came is not the document's answer. Safe to ask again."""


class Refusal(StrEnum):
    """Why the provider took nothing: its own codes, or the HTTP status where it has none."""

    TOKEN = "401"
    SECRET_KEY = "secret_key"
    """Code 401 in answer to making a token: the same code, another cure."""
    CONTACTS = "400"
    CAMPAIGN = "01"
    STOPPED = "03"
    THROTTLED = "429"
    TOO_LARGE = "413"


class Refused(ProviderError):
    """The provider said no and took nothing. `retry_after_s` is its `Retry-After`, where it sent one."""

    def __init__(self, code: Refusal, retry_after_s: float | None = None) -> None:
        super().__init__(f"refused: {code.name.lower()}")
        self.code = code
        self.retry_after_s = retry_after_s
