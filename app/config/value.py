"""Reading one value: durations, rates, numbers, choices, names, URLs, files.

Each reader takes a value as TOML gave it and raises `Unfit` with what was expected. Nothing here knows which key
it reads, and no URL's credentials are shown.
"""

from __future__ import annotations

import re
import ssl
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from phonenumbers import SUPPORTED_REGIONS

from app.config.model import Rate
from app.config.table import Read, Unfit, nearest
from app.origin import AllowEntry, UrlFault, parse_callback_url

L = TypeVar("L", bound=str)

_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h)")
_RATE = re.compile(r"([0-9]{1,7})/([0-9]{0,9})(ms|s|m|h)")
_UNIT = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
}
_LONGEST_PERIOD = timedelta(days=31)
_LARGEST_BURST = 1_000_000
_PORT_MAX = 65_535


def integer(least: int, most: int) -> Read[int]:
    """A whole number within the bounds, both included."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Unfit(f"a whole number from {least} to {most}")
        return value

    return read


port = integer(0, _PORT_MAX)


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise Unfit("true or false")
    return value


def text(expected: str, pattern: str = r"\S+") -> Read[str]:
    """A text that matches the pattern as a whole and holds no control character."""
    shape = re.compile(pattern)

    def read(value: object) -> str:
        if not isinstance(value, str) or not value.isprintable() or shape.fullmatch(value) is None:
            raise Unfit(expected)
        return value

    return read


def choice(*words: L) -> Read[L]:
    """One of the words."""

    def read(value: object) -> L:
        for word in words:
            if value == word:
                return word
        raise Unfit(nearest(value if isinstance(value, str) else "", words))

    return read


def duration(least: timedelta, most: timedelta) -> Read[timedelta]:
    """A duration such as `50ms`, `10s`, `5m` or `24h`, within the bounds."""

    def read(value: object) -> timedelta:
        parts = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if parts is None:
            raise Unfit("a duration such as 50ms, 10s, 5m or 24h")
        length = int(parts[1]) * _UNIT[parts[2]]
        if not least <= length <= most:
            raise Unfit(f"a duration from {_written(least)} to {_written(most)}")
        return length

    return read


def rate(value: object) -> Rate:
    """A rate such as `5/10m`, `200/s` or `20/1s`."""
    parts = _RATE.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        raise Unfit("a rate such as 5/10m or 200/s")
    burst, period = int(parts[1]), int(parts[2] or 1) * _UNIT[parts[3]]
    if not 1 <= burst <= _LARGEST_BURST or not timedelta(0) < period <= _LONGEST_PERIOD:
        raise Unfit(f"a rate of 1 to {_LARGEST_BURST} over a period of 1ms to {_written(_LONGEST_PERIOD)}")
    return Rate(burst, period)


def timezone(value: object) -> ZoneInfo:
    """A time zone by its IANA name."""
    try:
        return ZoneInfo(value if isinstance(value, str) else "")
    except (ValueError, OSError, KeyError):  # an unknown zone is a KeyError, a directory's name an OSError
        raise Unfit("the IANA name of a time zone, such as Asia/Ho_Chi_Minh") from None


def region(value: object) -> str:
    """An ISO 3166 region that phone numbers are known of."""
    if not isinstance(value, str) or value not in SUPPORTED_REGIONS:
        raise Unfit("a region's ISO 3166 code in capitals, such as VN")
    return value


def ca_file(base: Path) -> Read[Path | None]:
    """A bundle of CA certificates in PEM, relative to `base`; an empty text is None: the system's own."""

    def read(value: object) -> Path | None:
        if value == "":
            return None
        if not isinstance(value, str) or "\0" in value:
            raise Unfit("the path of a CA bundle in PEM, or an empty text")
        path = base / value
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except OSError as fault:  # ssl.SSLError is one
            why = "is no such bundle" if isinstance(fault, ssl.SSLError) else fault.strerror
            raise Unfit(f"a readable CA bundle in PEM; {path}: {why}") from None
        return path

    return read


def base_url(value: object) -> str:
    """An http or https URL without credentials, query or fragment; without the slash at its end."""
    expected = "an http:// or https:// URL with a host, without credentials, query and fragment"
    if not isinstance(value, str):
        raise Unfit(expected)
    try:
        parts = urlsplit(value)
        fit = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fit = False
    if not fit or re.search(r"[\s@?#\\]", value) or not value.isprintable():
        raise Unfit(expected, found=_shown_url(value))
    return value.rstrip("/")


def callback_url(value: object) -> str | None:
    """A callback URL as an API caller may write it; an empty text is None."""
    if value == "":
        return None
    if not isinstance(value, str):
        raise Unfit("a URL")
    try:
        parse_callback_url(value)
    except UrlFault as fault:
        raise Unfit(f"a callback URL: {fault}", found=_shown_url(value)) from None
    return value


def allow_entry(value: object) -> AllowEntry:
    """An entry of `callback_allow`."""
    if not isinstance(value, str):
        raise Unfit("a text such as https://host, http://*.zone:* or http://10.0.0.0/8:*")
    try:
        return AllowEntry.parse(value)
    except ValueError as fault:
        # The outer fault repeats the entry, which may carry credentials; its cause does not.
        raise Unfit(f"an origin such as https://host: {fault.__cause__}", found=_shown_url(value)) from None


def _shown_url(value: str) -> str | None:
    """None, for as it stands, unless it may carry a credential."""
    return "a URL with credentials or a query" if re.search(r"[@?#]", value) else None


def _written(length: timedelta) -> str:
    for unit in ("h", "m", "s"):
        if length and length % _UNIT[unit] == timedelta(0):
            return f"{length // _UNIT[unit]}{unit}"
    return f"{length // _UNIT['ms']}ms"
