"""Signatures of callbacks, as Standard Webhooks 1.0.0 has them: https://www.standardwebhooks.com

Owns the reading of signing keys, the three headers, and their verification. A symmetric key (`whsec_`) signs with
HMAC-SHA256 under the identifier `v1`, an asymmetric one (`whsk_`, whose public half is `whpk_`) with ed25519 under
`v1a`. Never keeps a revealed key, and never puts one, or any part of one, into a fault.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from app.secret import Secret

_SYMMETRIC: Final = "whsec_"
_PRIVATE: Final = "whsk_"
_PUBLIC: Final = "whpk_"
_HMAC_BYTES: Final = range(24, 65)  # the specification's bounds

_MOST_SIGNATURES: Final = 16
_Verifier = tuple[str, Callable[[bytes, bytes], bool]]


class SigningKeyFault(ValueError):
    """A text that is no signing key. Says what is expected, never what stood there."""


class SignatureFault(Exception):
    """Headers and body that no given key vouches for; the text says why."""


class Signer:
    """Signs with every secret it is given: during a rotation the old and the new one both stand in the header."""

    def __init__(self, secrets: Sequence[Secret]) -> None:
        self._secrets = tuple(secrets)

    def headers(self, event_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
        """The three headers of one attempt, `timestamp_s` being its time in seconds since the epoch.

        Raises `SigningKeyFault` if a secret has become unreadable as a key.
        """
        signed = _signed_content(event_id, str(timestamp_s), body)
        return {
            "webhook-id": event_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": " ".join(_sign(secret.reveal(), signed) for secret in self._secrets),
        }


def check_signing_key(text: str) -> None:
    """Raises `SigningKeyFault` unless `text` is a key that can sign: `whsec_…` or `whsk_…`."""
    _sign(text, b"")


def verify(
    keys: Sequence[Secret | str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now_s: float,
    tolerance_s: float = 300,
) -> None:
    """Raises `SignatureFault` unless one of `keys` (`whsec_`, `whsk_` or `whpk_`) signed this body lately.

    Names of headers in any case. `body` is the bytes as received: a body parsed and written again differs.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    event_id, timestamp, signatures = (_required(lower, f"webhook-{part}") for part in _PARTS)
    _check_timestamp(timestamp, now_s, tolerance_s)
    signed = _signed_content(event_id, timestamp, body)
    verifiers = [_verifier(key if isinstance(key, str) else key.reveal()) for key in keys]
    for version, signature in _parsed(signatures):
        if any(version == known and vouches(signature, signed) for known, vouches in verifiers):
            return
    raise SignatureFault("no signature in webhook-signature is by a known key")


def generate_secret() -> str:
    """A fresh symmetric secret: `whsec_` and 32 random bytes."""
    return _SYMMETRIC + _b64(secrets.token_bytes(32))


def generate_key_pair() -> tuple[str, str]:
    """A fresh ed25519 pair: the signing secret `whsk_…` (seed and public key, 64 bytes) and `whpk_…` for consumers."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return _PRIVATE + _b64(private.private_bytes_raw() + public), _PUBLIC + _b64(public)


_PARTS: Final = ("id", "timestamp", "signature")


def _signed_content(event_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{event_id}.{timestamp}.".encode() + body


def _sign(key: str, signed: bytes) -> str:
    if key.startswith(_PRIVATE):
        return f"v1a,{_b64(_private_key(key).sign(signed))}"
    return f"v1,{_b64(_hmac(_symmetric_key(key), signed))}"


def _verifier(key: str) -> _Verifier:
    if key.startswith(_PUBLIC):
        return "v1a", _ed25519_verifier(_public_key(key))
    if key.startswith(_PRIVATE):
        return "v1a", _ed25519_verifier(_private_key(key).public_key())
    secret = _symmetric_key(key)
    return "v1", lambda signature, signed: hmac.compare_digest(_hmac(secret, signed), signature)


def _ed25519_verifier(public: Ed25519PublicKey) -> Callable[[bytes, bytes], bool]:
    def vouches(signature: bytes, signed: bytes) -> bool:
        try:
            public.verify(signature, signed)
        except InvalidSignature:
            return False
        return True

    return vouches


def _hmac(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, hashlib.sha256)


def _symmetric_key(text: str) -> bytes:
    raw = _decoded(text, _SYMMETRIC)
    if raw is None or len(raw) not in _HMAC_BYTES:
        raise SigningKeyFault(
            "a signing secret must be whsec_ and 24 to 64 bytes in base64, or whsk_ and an ed25519 key"
        )
    return raw


def _private_key(text: str) -> Ed25519PrivateKey:
    """From the 32 bytes of RFC 8032, or the 64 that libsodium and Svix write: those and the public key."""
    raw = _decoded(text, _PRIVATE)
    if raw is None or len(raw) not in (32, 64):
        raise SigningKeyFault("whsk_ must be followed by an ed25519 key of 32 or 64 bytes in base64")
    key = Ed25519PrivateKey.from_private_bytes(raw[:32])
    if raw[32:] and raw[32:] != key.public_key().public_bytes_raw():
        raise SigningKeyFault("the two halves of the whsk_ key do not belong together")
    return key


def _public_key(text: str) -> Ed25519PublicKey:
    raw = _decoded(text, _PUBLIC)
    if raw is None or len(raw) != 32:
        raise SigningKeyFault("whpk_ must be followed by an ed25519 public key of 32 bytes in base64")
    return Ed25519PublicKey.from_public_bytes(raw)


def _decoded(text: str, prefix: str) -> bytes | None:
    """The bytes behind the prefix, padding optional; None if the prefix is missing or it is not base64."""
    if not text.startswith(prefix):
        return None
    encoded = text.removeprefix(prefix).rstrip("=")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:  # not chained by anyone: its text would be about the secret
        return None


def _required(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise SignatureFault(f"the header {name} is missing")
    return value


def _check_timestamp(timestamp: str, now_s: float, tolerance_s: float) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise SignatureFault("webhook-timestamp is not a number of seconds")
    if abs(now_s - int(timestamp)) > tolerance_s:
        raise SignatureFault(f"webhook-timestamp is more than {tolerance_s:g} s from now")


def _parsed(signatures: str) -> list[tuple[str, bytes]]:
    """What can be read of the header, in order; what cannot is another scheme's and left alone."""
    read: list[tuple[str, bytes]] = []
    for signature in signatures.split(" ")[:_MOST_SIGNATURES]:
        version, _, encoded = signature.partition(",")
        try:
            read.append((version, base64.b64decode(encoded, validate=True)))
        except (binascii.Error, ValueError):
            continue
    return read


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
