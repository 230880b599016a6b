"""What is kept sealed in Redis, and how numbers and references are found without being readable there.

Owns the keys. AES-256-GCM with the record's id and, unless it is the body, the kind of field as associated data, so
that a sealed value moved to another record or another field does not open; each sealed value names its key by four
bytes, so that the first key encrypts and all decrypt. A nonce is 96 random bits: 2^32 values under one key keep the
chance that any two share one below 2^-33, which is what NIST SP 800-38D allows.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.secret import Secret

_NONCE_BYTES = 12
_KEY_ID_BYTES = 4


class UnsealableError(Exception):
    """No configured key opens this value: the key it was sealed with is gone, or the value was moved or changed."""


class Keyring:
    """Seals with the first key, opens with any."""

    __slots__ = ("_ciphers", "_first")

    def __init__(self, keys: Sequence[Secret]) -> None:
        raw = dict.fromkeys(base64.b64decode(key.reveal()) for key in keys)
        self._ciphers = {hashlib.sha256(key).digest()[:_KEY_ID_BYTES]: AESGCM(key) for key in raw}
        if len(self._ciphers) < len(raw):
            raise ValueError("two encryption keys share their id of four bytes: make another")
        self._first = next(iter(self._ciphers))

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys, as `key_id_of` gives them, the first first; the same key is named once."""
        return tuple(one.hex() for one in self._ciphers)

    def seal(self, clear: bytes, bound_to: str) -> bytes:
        """The sealed value; it opens only when given the same `bound_to`."""
        nonce = os.urandom(_NONCE_BYTES)
        return self._first + nonce + self._ciphers[self._first].encrypt(nonce, clear, bound_to.encode())

    def is_current(self, sealed: bytes) -> bool:
        """Whether the value was sealed with the first key, so that no older one is needed for it."""
        return sealed[:_KEY_ID_BYTES] == self._first

    def open(self, sealed: bytes, bound_to: str) -> bytes:
        """The clear value. `UnsealableError` if no key opens it."""
        cipher = self._ciphers.get(sealed[:_KEY_ID_BYTES])
        if cipher is None:
            raise UnsealableError("sealed with a key that is not configured")
        start = _KEY_ID_BYTES + _NONCE_BYTES
        try:
            return cipher.decrypt(sealed[_KEY_ID_BYTES:start], sealed[start:], bound_to.encode())
        except InvalidTag:
            raise UnsealableError("a sealed value was moved or changed") from None


def key_id_of(sealed: bytes) -> str:
    """The id of the key that a value was sealed with: 8 hex digits, from which nothing of the key can be told."""
    return sealed[:_KEY_ID_BYTES].hex()


class Index:
    """Keyed hashes (BLAKE2b, RFC 7693) under a secret that lives sealed in Redis: rotation leaves them be."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, kind: str, text: str) -> str:
        """22 characters that stand for `text` among things of this kind, and tell nothing of it."""
        digest = blake2b(text.encode(), digest_size=16, key=self._secret, person=kind.encode()).digest()
        return base64.urlsafe_b64encode(digest)[:22].decode()

    def fingerprint(self, body: bytes) -> str:
        """Stands for a request's body. Keyed: a plain hash of a body with a six-digit code is soon undone."""
        digest = blake2b(body, digest_size=16, key=self._secret, person=b"fingerprint").digest()
        return base64.urlsafe_b64encode(digest)[:22].decode()
