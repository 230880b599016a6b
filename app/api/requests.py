"""What every route reads of a request: its caller, its headers and its query."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from app.api.parts import parts_of
from app.api.problems import INVALID_REQUEST, Problem, invalid
from app.intake.faults import FieldFault

if TYPE_CHECKING:
    from app.api.parts import ApiRequest
    from app.intake.callers import Caller

Word = TypeVar("Word", bound=StrEnum)

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")
_NUMBER = re.compile(r"[0-9]{1,9}")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def caller_of(request: ApiRequest) -> Caller:
    """The client that calls. 401 otherwise."""
    return parts_of(request).keys.caller(request.scope["headers"])


def operator_of(request: ApiRequest) -> str:
    """The fingerprint of the admin key that is sent. 401 otherwise, in the words that any wrong key gets."""
    return parts_of(request).keys.operator(request.scope["headers"])


def header(request: ApiRequest, name: bytes) -> str | None:
    """The first header of that name, in lower case. Read where it stands: the library's mapping is made of all."""
    for known, value in request.scope["headers"]:
        if known == name:
            return value.decode("latin-1")
    return None


def idempotency_key_of(request: ApiRequest) -> str | None:
    """The `Idempotency-Key`. 422 if it is not 1 to 255 visible characters."""
    key = header(request, b"idempotency-key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise invalid("", "Idempotency-Key: expected 1 to 255 visible ASCII characters")
    return key


def traceparent_of(request: ApiRequest) -> str | None:
    """The `traceparent` of W3C Trace Context; one that is malformed is as none."""
    value = header(request, b"traceparent")
    return value if value is not None and _TRACEPARENT.fullmatch(value) else None


class Query:
    """The query of a request, read strictly: faults are gathered and told at once."""

    def __init__(self, request: ApiRequest, *known: str) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in request.query_params.multi_items():
            self._values.setdefault(name, []).append(value)
        self._faults = [
            FieldFault("", f"unknown query parameter; expected one of {', '.join(known)}")
            for name in self._values
            if name not in known
        ]
        self._faults += [
            FieldFault("", f"{name}: expected once")
            for name, values in self._values.items()
            if len(values) > 1
        ]

    def text(self, name: str) -> str | None:
        """The parameter, if it is there."""
        values = self._values.get(name)
        return values[0] if values else None

    def number(self, name: str, least: int, most: int, default: int) -> int:
        """A whole number in its bounds."""
        written = self.text(name)
        if written is None:
            return default
        if _NUMBER.fullmatch(written) and least <= int(written) <= most:
            return int(written)
        self.fault(name, f"expected a whole number from {least} to {most}")
        return default

    def names(self, name: str, known: Mapping[str, object]) -> list[str]:
        """The one name that the parameter gives, which must be known; all of them without it."""
        written = self.text(name)
        if written is not None and written not in known:
            self.fault(name, f"expected a {name} of the configuration")
            return []
        return list(known) if written is None else [written]

    def choice(self, name: str, words: type[Word], among: Collection[str] | None = None) -> Word | None:
        """One of the words, or of those `among` them."""
        written = self.text(name)
        if written is None:
            return None
        known = list(words) if among is None else [one for one in words if one.value in among]
        if written not in {one.value for one in known}:
            self.fault(name, f"expected one of {', '.join(one.value for one in known)}")
            return None
        return words(written)

    def fault(self, name: str, expected: str) -> None:
        """Adds a fault of a parameter."""
        self._faults.append(FieldFault("", f"{name}: {expected}"))

    def check(self) -> None:
        """422 if anything was at fault."""
        if self._faults:
            raise Problem(INVALID_REQUEST, errors=self._faults)
