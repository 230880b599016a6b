"""The file that keeps calls, campaigns and tokens over a restart: one JSON record a line, appended as things happen.

Appended before the answer leaves, so that even a killed sandbox remembers each contact it took. At the start the file
is read and written anew in short, atomically. It never holds an OTP code.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec

from app.sandbox.accounts import SecretKeyChanged, TokensMoved
from app.sandbox.calls import Call
from app.sandbox.received import Import


class CampaignMoved(msgspec.Struct, tag="campaign"):
    """A campaign was stopped or started."""

    campaign_id: str
    running: bool


class CallScheduled(msgspec.Struct, tag="start"):
    """A call that waited was given its start, or one given a start waits again."""

    campaign_id: str
    call_id: int
    starts_at_ms: int | None


Record = Call | CampaignMoved | CallScheduled | TokensMoved | SecretKeyChanged | Import

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class StateFileUnreadable(Exception):
    """The state file is not one of ours, or is damaged; says where."""


class StateFile:
    """An open state file, or, without a path, nothing: all its calls then do nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def load(self) -> list[Record]:
        """Every record of the file, oldest first; a last line that a kill cut short is left out.

        Raises StateFileUnreadable.
        """
        if self._path is None or not self._path.exists():
            return []
        *lines, _unfinished = self._path.read_bytes().split(b"\n")
        return [self._read(line, number) for number, line in enumerate(lines, 1)]

    def rewrite(self, records: Iterable[Record]) -> None:
        """Replace the file's content, atomically, and keep it open for more."""
        if self._path is None:
            return
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(self._path.name + ".new")
        with open(fresh, "wb", opener=_private) as file:
            file.writelines(_line(record) for record in records)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        self._file = open(self._path, "ab", buffering=0, opener=_private)  # noqa: SIM115

    def append(self, *records: Record) -> None:
        """Add records; they have left the process when this returns."""
        if self._file is not None:
            self._file.write(b"".join(map(_line, records)))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, line: bytes, number: int) -> Record:
        try:
            return _decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise StateFileUnreadable(f"{self._path}, line {number}: {error}") from error


def _line(record: Record) -> bytes:
    if isinstance(record, Call) and record.otp_code is not None:
        record = msgspec.structs.replace(record, otp_code=None)
    return _encoder.encode(record) + b"\n"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
