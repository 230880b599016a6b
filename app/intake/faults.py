"""What is at fault in a request's body, all of it at once.

A fault says where (an RFC 6901 pointer) and what is expected there. It never repeats a value, which may be a code.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One field that is at fault; `pointer` is empty for the body as a whole."""

    pointer: str
    detail: str


class BodyFault(Exception):
    """A body that is not taken, with every fault of it."""

    def __init__(self, faults: tuple[FieldFault, ...]) -> None:
        super().__init__(f"{len(faults)} fields are at fault")
        self.faults = faults


class CampaignForbidden(Exception):
    """The body is well formed, but names a campaign that this client may not use, whether there is one or not."""


@dataclass(slots=True)
class Faults:
    """Gathers the faults of one body."""

    found: list[FieldFault] = field(default_factory=list)

    def add(self, pointer: str, detail: str) -> None:
        self.found.append(FieldFault(pointer, detail))

    def raise_any(self) -> None:
        """Raises `BodyFault` if there are any."""
        if self.found:
            raise BodyFault(tuple(self.found))


def pointer_to(*names: str) -> str:
    """An RFC 6901 pointer. A name that is too long or cannot be written in UTF-8 is shown as far as it can be."""
    return "".join("/" + _shown(name).replace("~", "~0").replace("/", "~1") for name in names)


def _shown(name: str) -> str:
    text = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"
    return text.encode(errors="replace").decode()
