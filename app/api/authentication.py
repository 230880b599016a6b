"""Who asks: the client whose key a request bears. The one place where keys are looked at.

A key is known by its SHA-256 alone. All digests are compared, each in constant time, so that the time of an answer
tells nothing of them; and every refusal has the same words.
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
        sent = [value for name, value in headers if name == b"authorization"]
        found: Caller | None = None
        if len(sent) == 1 and sent[0][: len(_SCHEME)].lower() == _SCHEME:
            digest = hashlib.sha256(sent[0][len(_SCHEME) :].strip(b" ")).digest()
            for known, caller in self._holders:
                if hmac.compare_digest(known, digest):
                    found = caller
        if found is None:
            raise Problem(UNAUTHORIZED, headers={"www-authenticate": "Bearer"})
        return found
