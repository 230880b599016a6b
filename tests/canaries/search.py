"""Finds what was planted, as it is or in another dress, in what the relay wrote. Tells of a find, never shows it.

False alarms would make the search worthless. Texts that are known have twelve characters and more, of a kind that
nothing else makes. A code is six digits with a zero before: nothing counts so, and no letter, digit, point or dash may
touch it; in sealed bytes it stands at a given place with a chance of 2^-48, so in the 50 MiB that the suite writes into
Redis once in five million runs. Seven characters of base64, by which a code is known there, stand at a given place of a
keyed hash with 2^-42: in 100,000 hashes, once in a million runs. Numbers are found by their shape, so that each number
of each test is found: ten bounded digits and more are rarer still in sealed bytes, and times have thirteen.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache

from tests.canaries.planted import CODE, KNOWN, MARK, NUMBERS, RAW_KEYS

_BEFORE, _AFTER = rb"(?<![0-9A-Za-z_.-])", rb"(?![0-9A-Za-z_-])"

_CODE = re.compile(_BEFORE + CODE.encode() + _AFTER)
_SHAPES = {
    "an access token": re.compile(rb"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}|sbx_[A-Za-z0-9_-]{8,}~"),
    "a signing secret by its shape": re.compile(rb"whs[eck]{1,2}_[A-Za-z0-9+/_-]{24,}"),
    "a key of a header": re.compile(rb"[Bb]earer\s+(?!\*)[A-Za-z0-9._~+/-]{16,}"),
}
_PHONE = re.compile(
    _BEFORE
    + rb"(?:(?:\+|%2[Bb])[1-9][0-9]{9,13}|(?:0|84)[35789][0-9]{8}|0[35789][0-9]{2}[ .+-][0-9]{3}[ .+-][0-9]{3})"
    + _AFTER
)


class Place(Enum):
    """Where the bytes were found, which says what may stand there."""

    LOG = "log"
    METRICS = "metrics"
    REDIS = "redis"
    ANSWER = "answer"
    """An API's answer or a callback: it tells its owner what it was told, but for the code."""


@dataclass(frozen=True, slots=True)
class Leak:
    """One find. `at`: how many bytes stand before it."""

    what: str
    at: int
    before: str
    """What stands in front of it, without its digits."""

    def __str__(self) -> str:
        return f"{self.what} at byte {self.at}, after {self.before!r}"


def leaks_in(data: bytes, place: Place) -> list[Leak]:
    """Each kind of planted thing that stands there, once."""
    return [
        Leak(what, at, re.sub("[0-9]", "#", data[max(0, at - 40) : at].decode(errors="replace")))
        for what, at in _found(data, place)
    ]


def _found(data: bytes, place: Place) -> Iterator[tuple[str, int]]:
    for what, needle in _known(place is Place.ANSWER).items():
        if (at := data.find(needle)) >= 0:
            yield what, at
    shapes = dict(_SHAPES)
    if CODE.encode() in data:
        shapes["a code"] = _CODE
    if place is not Place.ANSWER:
        shapes["a phone number"] = _PHONE
    for what, shape in shapes.items():
        if (match := shape.search(data)) is not None:
            yield what, match.start()
    if place is not Place.ANSWER:
        for what, needle in _in_other_dress().items():
            if (at := data.find(needle)) >= 0:
                yield what, at


@cache
def _known(to_its_owner: bool) -> dict[str, bytes]:
    known = {what: text.encode() for what, text in KNOWN.items()} | RAW_KEYS
    return known if to_its_owner else known | {"a marked text": MARK.encode()}


@cache
def _in_other_dress() -> dict[str, bytes]:
    """What a plain hash, or an encoding, makes of codes and numbers."""
    texts = {f"a code ({CODE[:1]}…)": CODE}
    for n, number in enumerate(NUMBERS):
        texts |= {f"number {n}, {how}": text for how, text in _spellings(number).items()}
    dressed: dict[str, bytes] = {}
    for what, text in texts.items():
        raw = text.encode()
        dressed[f"{what}, in hex"] = raw.hex().encode()
        dressed[f"{what}, in UTF-16"] = text.encode("utf-16-le")
        if text != CODE:  # read backwards, a code may be any number
            dressed[f"{what}, backwards"] = raw[::-1]
        for shift in range(3):
            dressed[f"{what}, in base64 ({shift})"] = _inner_base64(raw, shift)
        for algorithm in ("md5", "sha1", "sha256"):
            digest = hashlib.new(algorithm, raw).digest()
            dressed[f"{what}, its {algorithm}"] = digest
            dressed[f"{what}, its {algorithm} in hex"] = digest.hex().encode()
            dressed[f"{what}, its {algorithm} in base64"] = base64.b64encode(digest)[:16]
            dressed[f"{what}, its {algorithm} in URL-safe base64"] = base64.urlsafe_b64encode(digest)[:16]
    return {what: needle for needle, what in {needle: what for what, needle in dressed.items()}.items()}


def _spellings(number: str) -> dict[str, str]:
    return {"E.164": number, "without a plus": number[1:], "national": f"0{number[3:]}"}


def _inner_base64(raw: bytes, shift: int) -> bytes:
    """The characters that base64 makes of these bytes alone, with so many others in front of them."""
    first, last = -(-shift * 8 // 6), (shift + len(raw)) * 8 // 6
    return base64.b64encode(b"\0" * shift + raw)[first:last]
