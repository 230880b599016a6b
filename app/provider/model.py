"""What is given to and got from the provider in our terms: E.164, UTC, text ids.

Plain values without behaviour; nothing here knows the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.secret import Secret


@dataclass(frozen=True, slots=True)
class Contact:
    """One phone to ring."""

    phone_number: str
    """E.164."""
    otp_code: Secret | None
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Taken:
    """A contact that the provider says it took."""

    phone_number: str
    """E.164."""
    call_id: str | None


@dataclass(frozen=True, slots=True)
class ImportReceipt:
    """The provider's answer to an import that it did. `claimed` and `total` are X and Y of its message."""

    taken: tuple[Taken, ...]
    claimed: int | None
    total: int | None
    unreadable: int
    """Results whose number could not be read: someone was taken, unknown who."""


@dataclass(frozen=True, slots=True)
class CallRow:
    """A row of an export. `call_id` is empty for a call that is not made yet."""

    call_id: str
    caller_id: str
    callee: str | None
    """E.164; None where it could not be read."""
    called_at: datetime | None
    """Aware, UTC; the provider's clock."""
    called_at_text: str | None
    """RFC 3339 with the account's offset, for people."""
    duration: int
    """Seconds the person listened."""
    key_press: str
    keys: tuple[str, ...]
    note: str
    state: int
    """40 answered, 50 error; anything else is not final."""


@dataclass(frozen=True, slots=True)
class ExportPage:
    """One page of an export. The offset moves on by `raw_count`: all that came, unreadable rows too."""

    rows: tuple[CallRow, ...]
    total: int | None
    raw_count: int


@dataclass(frozen=True, slots=True)
class AccessToken:
    """Buys imports and exports."""

    value: Secret
    expires_at_ms: int | None
    """`exp` of the JWT, where it is one and has one."""
