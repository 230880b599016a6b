"""What the suite plants: secrets, codes and numbers that are known here, and must stand nowhere else.

The harnesses of the suite take theirs from here, so that every test plants them. Owns the values and no search.
"""

from __future__ import annotations

import base64

MARK = "Zq7XvKanarie"
"""Begins planted texts of any kind; no word of the program, and no base64 that the suite makes, has it by chance."""

CODE = "004217"
NUMBER = "+84901234567"
NUMBERS = (NUMBER, "+84901000001", "+84901000002")
PROVIDER_SECRET = "provider-secret"
SANDBOX_SECRET = "sandbox-secret"
"""What the sandbox begins with, unless it is told otherwise."""

_KEY_ENDING = "-0123456789abcdef"


def api_key(holder: str) -> str:
    """The API key of a client, or of the admin."""
    return f"{holder}{_KEY_ENDING}"


def _base64_of(letter: bytes) -> str:
    return base64.b64encode(letter * 32).decode()


SIGNING_SECRET = f"whsec_{_base64_of(b'k')}"
ENCRYPTION_KEY = _base64_of(b"e")

KNOWN = {
    "an API key": _KEY_ENDING,
    "a signing secret": _base64_of(b"k")[:40],
    "an encryption key": ENCRYPTION_KEY[:40],
    "a provider's secret key": PROVIDER_SECRET,
    "the sandbox's secret key": SANDBOX_SECRET,
}
"""By what it is, the part of each by which it is known wherever it stands."""
RAW_KEYS = {"a signing secret's bytes": b"k" * 32, "an encryption key's bytes": b"e" * 32}
