"""The last line: what looks like a secret is taken out of a text before it is written.

Others must not log secrets in the first place; this is for what slips through, in a library's message or in an
exception's. It works on text alone, by shape, and would rather hide a harmless number than show a person's. It cannot
know a code that stands by itself: six digits may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.message import mask_number

HIDDEN = "***"

_CREDENTIALS = (
    *("access_token", "secret_key", "otp_code", "password", "authorization", "api_key", "api_keys"),
    *("signing_secret", "signing_secrets", "encryption_key", "encryption_keys"),
)
_HIDDEN_FIELDS = frozenset({*_CREDENTIALS, "token", "secret"})
_NUMBER_FIELDS = frozenset({"phone_number", "caller_id", "callee_id"})

# Whatever a query says, the path before it says enough.
_QUERY = re.compile(r"""\?(?=[A-Za-z_][\w.%~-]*=)[^\s"'<>\\]+""")

# Any quoting a library may have put around name and value: a query, JSON, JSON within JSON, Python's repr. A quoted
# value is hidden up to the same quote, another up to what ends a word. "token" alone is also a word of sentences.
_NAMED = re.compile(
    rf"""(?ix) (?P<name> (?<![a-z0-9])
      (?: (?:{"|".join(_CREDENTIALS).replace("_", "[_-]?")}) (?:\\*["'])? \s* (?: = | : | %3D )
        | token (?: \s* (?: = | %3D ) | \\*["'] \s* : ) )
      \s* \[? (?: b (?=["']) )? )
    (?: (?P<quote> \\*["'] ) (?: (?!(?P=quote)) . )+
      | (?: (?:Bearer|Basic) \s+ )? [^\s"'&,;<>\\)\]}}]+ )"""
)
_BEARER = re.compile(r"(?i)\b(Bearer|Basic)\s+[A-Za-z0-9+/._~=-]+")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){1,2}")
_SIGNING = re.compile(r"\b(whsec|whsk)_[A-Za-z0-9+/_=-]+")
_URL_LOGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/?#@]+@", re.IGNORECASE)

# Digits that other letters or digits touch are part of an id, a hash or a time, not a number that somebody dials. What
# may stand between two of its digits: what people and forms write there.
_GAP = r"(?:[ .()+\u00a0-]|%20){0,2}"
_NUMBER = re.compile(
    rf"(?<![\w.+:-])(?:(?:\+|%2B)[1-9](?:{_GAP}[0-9]){{7,14}}|(?:0|84)[1-9](?:{_GAP}[0-9]){{7,9}})(?![\w:])(?!\.[0-9])",
    re.IGNORECASE,
)
_NOT_DIALLED = re.compile(r"%2[B0]|[^0-9+]", re.IGNORECASE)


# What nearly every line bears: ids of ours, times, numbers that are masked already, and short words without a digit
# and without a sign that any of the above could begin or end with.
_PLAIN = re.compile(
    r"(?:msg|evt|batch)_[0-9a-z]{20,44}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z|\+[0-9]{5}\*{3}[0-9]{3}"
    r"|(?!.*(?:bearer|basic|eyj|whs))[a-z_ .,-]{1,60}",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text with credentials hidden and phone numbers masked; what is masked already stays as it is."""
    if _PLAIN.fullmatch(text):
        return text
    text = _QUERY.sub(f"?{HIDDEN}", text)
    text = _NAMED.sub(lambda found: f"{found['name']}{found['quote'] or ''}{HIDDEN}", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    text = _JWT.sub(HIDDEN, text)
    text = _SIGNING.sub(rf"\1_{HIDDEN}", text)
    text = _URL_LOGIN.sub(rf"\g<scheme>{HIDDEN}@", text)
    return _NUMBER.sub(lambda found: _masked(found[0]), text)


def _masked(number: str) -> str:
    """Masked as E.164: the national form is shorter, and would show nearly all of it."""
    dialled = _NOT_DIALLED.sub("", number).replace("+", "")
    return mask_number(f"+84{dialled[1:]}" if dialled.startswith("0") else f"+{dialled}")


def redact_value(name: str, value: object) -> object:
    """A log field's value: texts redacted, in containers too; a field named as a credential is hidden whole."""
    named = name.lower().replace("-", "_")
    if named in _HIDDEN_FIELDS and value is not None:
        return HIDDEN
    if named in _NUMBER_FIELDS and isinstance(value, int):
        return mask_number(f"+{value}")
    match value:
        case str():
            return redact(value)
        case bool() | int() | float() | None:
            return value
        case Mapping():
            return {redact(str(key)): redact_value(str(key), item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redact_value("", item) for item in value]
        case bytes() | bytearray():
            return redact(bytes(value).decode(errors="replace"))
        case _:
            return redact(str(value))
