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


class Keys:
    """The digests of all clients' keys."""

    def __init__(self, callers: Iterable[Caller]) -> None:
        self._holders = [(digest, caller) for caller in callers for digest in caller.config.api_keys]

    def caller(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """The client whose key the Authorization header bears; a `Problem` with 401 if there is none."""
        key = key_sent(headers)
        digest = hashlib.sha256(key).digest()
        found: Caller | None = None
        for known, caller in self._holders:
            if hmac.compare_digest(known, digest):
                found = caller
        if found is None or not key:
            raise Problem(UNAUTHORIZED, headers={"www-authenticate": "Bearer"})
        return found


def key_sent(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The key of the one Authorization header (RFC 6750); empty, to be compared as any other, if there is none."""
    sent = [value for name, value in headers if name == b"authorization"]
    if len(sent) != 1 or sent[0][: len(_SCHEME)].lower() != _SCHEME:
        return b""
    return sent[0][len(_SCHEME) :].strip(b" ")
