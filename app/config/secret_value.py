"""Reading secrets and digests of keys: where they come from, and whether they have the right form.

A secret's text is looked at once, to check its form, and is handed out only as a `Secret`. Not a letter of it,
nor of anything that stands where a secret should, is put into a fault. A file is read once for a configuration: what
stands in it later belongs to the next, which is taken up as a whole or not at all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.config.table import Read, Unfit, kind_of
from app.secret import Secret, SecretUnreadableError

Check = Callable[[str], bool]

_DIGEST = re.compile(r"sha256:([0-9A-Fa-f]{64})")
# A secret pasted where the variable's name belongs must not be told back; what looks like a name may be.
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_SOURCES = '{ env = "NAME" }, { file = "path" } or a text'
_OF_NOTHING = hashlib.sha256(b"").digest()
_HMAC_BYTES = range(24, 65)
_SEED_BYTES = 32
_AES_BYTES = 32


@dataclass(frozen=True, slots=True)
class SecretReader:
    """Knows the environment, and the folder that relative paths of secret files start from."""

    env: Mapping[str, str]
    base: Path
    files: dict[Path, bytes] = field(default_factory=dict)
    """The files that secrets were read from, each with `digest_of` its text."""

    def reads(self, check: Check, expected: str) -> Read[Secret]:
        """A reader of one secret whose text passes `check`."""

        def read(value: object) -> Secret:
            secret = self._find(value, expected)
            if not check(secret.reveal()):
                raise Unfit(expected, found="a secret of another form")
            return secret

        return read

    def _find(self, value: object, expected: str) -> Secret:
        try:
            match value:
                case str():
                    return Secret.of(value)
                case {"env": str(name), **rest} if not rest:
                    return self._from_env(name)
                case {"file": str(path), **rest} if not rest and "\0" not in path:
                    return self._from_file(self.base / path)
        except SecretUnreadableError as unreadable:
            raise Unfit(expected, found=f"no secret: {unreadable}") from None
        raise Unfit(_SOURCES, found=_misplaced(value))

    def _from_env(self, name: str) -> Secret:
        if self.env.get(name):
            return Secret.from_env(name, self.env)
        shown = name if _VARIABLE.fullmatch(name) else "that it names"
        raise SecretUnreadableError(f"the environment variable {shown} is not set")

    def _from_file(self, path: Path) -> Secret:
        secret = Secret.from_file(path)
        self.files[path] = _digest_of(secret)
        return secret


def digests_of(files: Iterable[Path]) -> dict[Path, bytes]:
    """What stands in each file now, as a digest to compare; empty for one that cannot be read."""
    found: dict[Path, bytes] = {}
    for path in files:
        try:
            found[path] = _digest_of(Secret.from_file(path))
        except SecretUnreadableError:
            found[path] = b""
    return found


def _digest_of(secret: Secret) -> bytes:
    return hashlib.sha256(secret.reveal().encode()).digest()


def api_key_digest(value: object) -> bytes:
    """`sha256:<64 hex digits>` as the 32 bytes of the digest."""
    parts = _DIGEST.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        found = "a text of another form" if isinstance(value, str) else kind_of(value)
        raise Unfit(
            "sha256: and the 64 hex digits of the key's SHA-256, as otp-relay keygen makes", found=found
        )
    digest = bytes.fromhex(parts[1])
    if digest == _OF_NOTHING:
        raise Unfit("the digest of a key, as otp-relay keygen makes", found="the digest of an empty text")
    return digest


def is_signing_secret(text: str) -> bool:
    """`whsec_` and 24 to 64 bytes in base64, or `whsk_` and an ed25519 seed, alone or with its public key."""
    kind, _, encoded = text.partition("_")
    raw = _decoded(encoded)
    if raw is None:
        return False
    return (kind == "whsec" and len(raw) in _HMAC_BYTES) or (kind == "whsk" and _is_ed25519(raw))


def _is_ed25519(raw: bytes) -> bool:
    seed, public = raw[:_SEED_BYTES], raw[_SEED_BYTES:]
    if len(seed) != _SEED_BYTES:
        return False
    return public in (b"", Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw())


def is_encryption_key(text: str) -> bool:
    """32 bytes in base64."""
    raw = _decoded(text)
    return raw is not None and len(raw) == _AES_BYTES


def is_one_line(text: str) -> bool:
    """Something to print on one line, with no space at either end."""
    return text != "" and text.isprintable() and text == text.strip()


def _decoded(encoded: str) -> bytes | None:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None


def _misplaced(value: object) -> str:
    return "a table with other keys" if isinstance(value, dict) else kind_of(value)
