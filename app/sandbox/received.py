"""What the sandbox was sent: imports as they arrived, and counts of everything else. Bounded; holds no codes."""

from __future__ import annotations

from collections import deque

import msgspec

MAX_IMPORTS = 20_000


class Import(msgspec.Struct, kw_only=True, tag="import"):
    """One import request. `numbers` as they were spelled. `answer`: the code it was refused with, `1` where it was
    taken, empty where it never got so far. `fault`: the fault that struck the connection, if one did.
    """

    at_ms: int
    campaign_id: str
    contacts: int
    numbers: list[str]
    taken: bool = False
    taken_count: int = 0
    answer: str = ""
    fault: str = ""


class Counts(msgspec.Struct):
    """How much was asked of the sandbox since it was started or reset."""

    token_requests: int = 0
    tokens_made: int = 0
    import_requests: int = 0
    export_requests: int = 0
    call_log_requests: int = 0
    rows_served: int = 0


class Received:
    """The last imports, oldest first, and the counts."""

    def __init__(self) -> None:
        self.imports: deque[Import] = deque(maxlen=MAX_IMPORTS)
        self.counts = Counts()

    def clear(self) -> None:
        self.imports.clear()
        self.counts = Counts()
