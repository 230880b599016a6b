"""Which faults are switched on, and how often each may still strike. Forgets all of it when the process ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from app.sandbox.faults import FAULTS, CallFault, CampaignFault, Endpoint, Fault

F = TypeVar("F", bound=Fault)
C = TypeVar("C", bound=CallFault)

_NAMES = {kind: name for name, kind in FAULTS.items()}


class UnknownFault(LookupError):
    """There is no fault of that name; says which there are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no fault {name!r}; there are: {', '.join(FAULTS)}")


@dataclass(slots=True)
class ActiveFault:
    """A fault that is on. `left`: strikes left, None without a budget. `struck`: how often it has."""

    fault: Fault
    left: int | None
    struck: int = 0


class FaultBoard:
    """The switches. `take` is asked where a fault would strike, and spends one of its times."""

    def __init__(self) -> None:
        self.active: dict[str, ActiveFault] = {}

    def switch_on(self, name: str, params: object, *, strict: bool = True) -> ActiveFault:
        """Put `name` on with these parameters, with a fresh budget.

        Raises UnknownFault, or msgspec.ValidationError that names the parameter. `strict` off reads a form's text.
        """
        kind = FAULTS.get(name)
        if kind is None:
            raise UnknownFault(name)
        fault = msgspec.convert(params, type=kind, strict=strict)
        self.active[name] = ActiveFault(fault, fault.times)
        return self.active[name]

    def switch_off(self, name: str) -> None:
        """Off, whether or not it was on. Raises UnknownFault."""
        if name not in FAULTS:
            raise UnknownFault(name)
        self.active.pop(name, None)

    def clear(self) -> None:
        self.active.clear()

    def peek(self, kind: type[F], campaign: str | None = None) -> F | None:
        """The fault, if it is on and meant for this campaign; nothing is spent."""
        active = self.active.get(_NAMES[kind])
        if active is None or not isinstance(active.fault, kind):
            return None
        wanted = active.fault.campaign if isinstance(active.fault, CampaignFault) else None
        return active.fault if wanted is None or wanted == campaign else None

    def take(self, kind: type[F], campaign: str | None = None) -> F | None:
        """The fault, if it strikes now; one of its times is spent."""
        fault = self.peek(kind, campaign)
        if fault is not None:
            self._spend(_NAMES[kind])
        return fault

    def take_on(self, kind: type[C], endpoint: Endpoint, campaign: str | None) -> C | None:
        """As `take`, for a fault that strikes only some of the provider's calls."""
        fault = self.peek(kind, campaign)
        if fault is None or fault.on not in ("any", endpoint):
            return None
        self._spend(_NAMES[kind])
        return fault

    def _spend(self, name: str) -> None:
        active = self.active[name]
        active.struck += 1
        if active.left is not None:
            active.left -= 1
            if active.left <= 0:
                del self.active[name]
