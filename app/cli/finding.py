"""One thing that `check` looked at, and what it found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

What = Literal["configuration", "redis", "queue", "in use", "account", "campaign", "key"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing checked. `mend` says what to do where it did not pass, `note` what else is worth knowing."""

    what: What
    name: str
    passed: bool
    mend: str = ""
    note: str = ""
