"""Who asks: the client whose key a request bears. The one place where keys are looked at.

A key is known by its SHA-256 alone. All digests are compared, each in constant time, with whatever was sent and also
when nothing was, so that the time of an answer tells nothing of them; and every refusal has the same words.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from app.api.problems import UNAUTHORIZED, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.intake.callers import Caller

_SCHEME = b"bearer "
_FINGERPRINT = 8


class Keys:
    """The digests of all keys: clients', and operators', who have no names."""

    def __init__(self, callers: Iterable[Caller], operators: Iterable[bytes] = ()) -> None:
        self._holders: list[tuple[bytes, Caller | str]] = [
            (digest, caller) for caller in callers for digest in caller.config.api_keys
        ]
        self._holders += [(digest, digest.hex()[:_FINGERPRINT]) for digest in operators]

    def caller(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """The client whose key the Authorization header bears; a `Problem` with 401 if there is none."""
        found = self._holder(headers)
        if found is None or isinstance(found, str):
            raise _refused()
        return found

    def operator(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The fingerprint of the admin key that the header bears; a `Problem` with 401 if there is none."""
        found = self._holder(headers)
        if not isinstance(found, str):
            raise _refused()
        return found

    def _holder(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller | str | None:
        """Whose key it is. Every digest is compared, whoever asks for what, and wherever one fits."""
        key = key_sent(headers)
        digest = hashlib.sha256(key).digest()
        found: Caller | str | None = None
        for known, holder in self._holders:
            if hmac.compare_digest(known, digest):
                found = holder
        return found if key else None


def _refused() -> Problem:
    return Problem(UNAUTHORIZED, headers={"www-authenticate": "Bearer"})


def key_sent(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The key of the one Authorization header (RFC 6750); empty, to be compared as any other, if there is none."""
    sent = [value for name, value in headers if name == b"authorization"]
    if len(sent) != 1 or sent[0][: len(_SCHEME)].lower() != _SCHEME:
        return b""
    return sent[0][len(_SCHEME) :].strip(b" ")
