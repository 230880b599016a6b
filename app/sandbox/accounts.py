"""The account's secret key and its access tokens.

Tokens are HS256 JWTs (or, where a fault asks for it, something else) that carry a rising serial; a token is good while
its signature, its expiry and the serial's watermark say so, so that nothing is kept for each of them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
from datetime import timedelta
from typing import Literal

import msgspec

TokenForm = Literal["jwt", "without_exp", "opaque"]

_HEADER = b'{"alg":"HS256","typ":"JWT"}'


class _Claims(msgspec.Struct, omit_defaults=True):
    sub: str
    jti: int
    iat: int
    exp: int | None = None


class _OpaqueClaims(msgspec.Struct, array_like=True):
    jti: int
    exp: int


class TokensMoved(msgspec.Struct, tag="tokens"):
    """For the state file: how many tokens were made, and up to which serial they are dead."""

    made: int
    dead_up_to: int


class SecretKeyChanged(msgspec.Struct, tag="secret_key"):
    """For the state file: the key set while running, and the fingerprint of the configured one it replaces."""

    secret_key: str
    replaces: str


def fingerprint(secret_key: str) -> str:
    """Tells one configured secret key from another, and not what it was."""
    return hmac.new(secret_key.encode(), b"sandbox state file", hashlib.sha256).hexdigest()[:16]


class Account:
    """One account: who knows its secret key may make tokens, who has a living token may call."""

    def __init__(self, secret_key: str, token_ttl: timedelta) -> None:
        self.secret_key = secret_key
        self.made = 0
        self.dead_up_to = 0
        self._ttl_s = token_ttl.total_seconds()

    def knows(self, secret_key: str) -> bool:
        return hmac.compare_digest(secret_key.encode(), self.secret_key.encode())

    def make_token(self, now_ms: int, form: TokenForm = "jwt", ttl_s: float | None = None) -> str:
        """A new token, alive for `ttl_s` (or as configured) from `now_ms` on, the provider's clock."""
        self.made += 1
        issued_s = now_ms // 1000
        exp = math.ceil(now_ms / 1000 + (self._ttl_s if ttl_s is None else ttl_s))
        if form == "opaque":
            body = _b64(msgspec.json.encode(_OpaqueClaims(self.made, exp)))
            return f"sbx_{body}~{self._sign(body)}"
        claims = _Claims("sandbox", self.made, issued_s, exp if form == "jwt" else None)
        signed = f"{_b64(_HEADER)}.{_b64(msgspec.json.encode(claims))}"
        return f"{signed}.{self._sign(signed)}"

    def accepts(self, token: str, now_ms: int) -> bool:
        """Whether the token was made from the present secret key and is alive at `now_ms`."""
        claims = self._read(token)
        if claims is None or claims.jti <= self.dead_up_to:
            return False
        return claims.exp is None or now_ms < claims.exp * 1000

    def kill_tokens(self, *, but_newest: bool = False) -> None:
        """Every token made so far is dead from now on."""
        self.dead_up_to = self.made - 1 if but_newest else self.made

    def change_secret_key(self, secret_key: str) -> None:
        """As on the provider's website: every token made from the old key is dead at once."""
        self.secret_key = secret_key
        self.kill_tokens()

    def _read(self, token: str) -> _Claims | _OpaqueClaims | None:
        try:
            if token.startswith("sbx_"):
                body, _, signature = token.removeprefix("sbx_").rpartition("~")
                return msgspec.json.decode(self._checked(body, body, signature), type=_OpaqueClaims)
            signed, _, signature = token.rpartition(".")
            return msgspec.json.decode(
                self._checked(signed, signed.partition(".")[2], signature), type=_Claims
            )
        except (ValueError, msgspec.MsgspecError):
            return None

    def _checked(self, signed: str, body: str, signature: str) -> bytes:
        if not hmac.compare_digest(self._sign(signed).encode(), signature.encode()):
            raise ValueError("signature")
        return _unb64(body)

    def _sign(self, signed: str) -> str:
        return _b64(hmac.new(self.secret_key.encode(), signed.encode(), hashlib.sha256).digest())


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("base64") from error
