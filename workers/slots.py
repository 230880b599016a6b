"""How many attempts a destination and a client may have under way, out of those that a worker can make at once.

Owns that share-out, in this worker's memory alone; it takes no event and knows no URL. The end it serves: destinations
that hang, however many, must leave room for one that does not.

- A destination begins with a few slots. It earns more, up to the configured number, by taking what it is given while
  more is waiting for it, and loses half of them with each attempt that was not answered. So one that hangs holds few,
  unless it was busy before.
- A client may have no more than twice what is free: alone two thirds of the worker, several clients less. So one
  client's destinations, of which a `*.` or `:*` allows any number, never fill it.
- Those slots shrink with what is left to the client: each destination that comes gets fewer, and there is a rest.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MOST_AT_ONCE: Final = 512
FIRST_SLOTS: Final = 4
_CLAIMS_PART: Final = 4
"""A claim takes no more than this part of what is free, for shares are reckoned once a claim."""
_CLIENTS_PART: Final = 2
_MOST_A_CLAIM: Final = 128
_MOST_REMEMBERED: Final = 512


@dataclass(frozen=True, slots=True)
class Room:
    """What a claim may take."""

    most: int
    slots: int
    """Of a destination that `slots_of` does not name; attempts of other workers count too."""
    slots_of: Mapping[str, int]
    share: int
    """The most that a client may hold in this worker."""
    whole: int
    """What that would be if nothing were under way."""
    held: Mapping[str, int]
    """What each client holds now."""


class Slots:
    """Counts what is under way in one worker. Each `take` is followed by one `give_back`."""

    def __init__(self, per_destination: int, most: int = MOST_AT_ONCE) -> None:
        self._most = most
        self._per_destination = per_destination
        self._first = min(FIRST_SLOTS, per_destination)
        self._held: Counter[str] = Counter()
        self._under_way = 0
        self._earned: OrderedDict[str, int] = OrderedDict()

    def room(self) -> Room | None:
        """None: none until something is given back."""
        free = self._most - self._under_way
        if free <= 0:
            return None
        return Room(
            most=min(-(-free // _CLAIMS_PART), _MOST_A_CLAIM),
            slots=self._first,
            slots_of=dict(self._earned),
            share=free * _CLIENTS_PART,
            whole=self._most * _CLIENTS_PART,
            held=dict(self._held),
        )

    def take(self, client: str) -> None:
        """An attempt begins."""
        self._under_way += 1
        self._held[client] += 1

    def give_back(self, client: str) -> None:
        """It has ended, somehow."""
        self._under_way -= 1
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]

    def answered(self, destination: str, *, more_waited: bool) -> None:
        """It took an attempt; `more_waited`: events that had no slot when this one got its own."""
        if more_waited:
            self._remember(destination, self._of(destination) + 1)

    def unanswered(self, destination: str) -> None:
        """It did not say anything to an attempt."""
        self._remember(destination, self._of(destination) // 2)

    def _of(self, destination: str) -> int:
        return self._earned.get(destination, self._first)

    def _remember(self, destination: str, slots: int) -> None:
        self._earned[destination] = max(1, min(slots, self._per_destination))
        self._earned.move_to_end(destination)
        if len(self._earned) > _MOST_REMEMBERED:
            self._earned.popitem(last=False)
