"""How attempts are shared out among destinations and clients, played through with as much due as anyone can have."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest

from workers.slots import FIRST_SLOTS, Slots


class Hall:
    """Destinations that hang for ever, each with more due than it is given. Claims are as the script's."""

    def __init__(self, *, per_destination: int = 32) -> None:
        self.slots = Slots(per_destination)
        self.per_destination = per_destination
        self.hanging: Counter[str] = Counter()

    def come(self, name: str, client: str, *, busy_before: bool = False) -> int:
        """It takes what it can get, one claim after another: how many."""
        for _ in range(self.per_destination if busy_before else 0):
            self.slots.answered(name, more_waited=True)
        while self._claim(name, client):
            pass
        return self.hanging[name]

    def _claim(self, name: str, client: str) -> int:
        room = self.slots.room()
        if room is None:
            return 0
        left = room.share - room.held.get(client, 0)
        own = math.ceil(room.slots_of.get(name, room.slots) * min(1, left / room.whole)) - self.hanging[name]
        taken = max(0, min(own, left, room.most))
        for _ in range(taken):
            self.slots.take(client)
        self.hanging[name] += taken
        return taken


@pytest.mark.parametrize("busy_before", (False, True), ids=("new", "busy before"))
@pytest.mark.parametrize("destinations", (1, 16, 20, 40))
def test_destinations_that_hang_together_leave_slots_to_another_of_the_same_client(
    destinations: int, busy_before: bool
) -> None:
    hall = Hall()
    for number in range(destinations):
        assert hall.come(f"https://{number}", "checkout", busy_before=busy_before) > 0
    assert hall.come("https://healthy", "checkout") > 0


@pytest.mark.parametrize("clients", (1, 2, 5))
def test_clients_whose_thousand_destinations_hang_leave_slots_to_another_client(clients: int) -> None:
    hall = Hall()
    for client, number in itertools.product(range(clients), range(1000)):
        hall.come(f"https://{client}-{number}", f"hostile-{client}", busy_before=number % 2 == 0)
    assert hall.come("https://healthy", "good") > 0


@pytest.mark.parametrize("per_destination", (1, 2, 32))
def test_a_busy_destination_alone_has_nearly_all_that_is_configured_and_no_more(per_destination: int) -> None:
    got = Hall(per_destination=per_destination).come("https://busy", "checkout", busy_before=True)
    assert 0.9 * per_destination <= got <= per_destination


def test_slots_are_earned_by_answers_while_more_waits_and_lost_by_silence() -> None:
    slots = Slots(32)

    def now() -> int:
        room = slots.room()
        assert room is not None
        return room.slots_of.get("https://a", room.slots)

    assert now() == FIRST_SLOTS
    slots.answered("https://a", more_waited=False)
    assert now() == FIRST_SLOTS
    for _ in range(12):
        slots.answered("https://a", more_waited=True)
    assert now() == 16
    for left in (8, 4, 2, 1, 1, 1):
        slots.unanswered("https://a")
        assert now() == left
    slots.answered("https://a", more_waited=True)
    assert now() == 2


def test_what_is_given_back_is_free_again_and_a_full_worker_takes_nothing() -> None:
    slots = Slots(32, most=2)
    slots.take("checkout")
    slots.take("delivery")
    assert slots.room() is None
    slots.give_back("checkout")
    room = slots.room()
    assert room is not None
    assert (room.most, room.share, room.held) == (1, 2, {"delivery": 1})


def test_no_more_destinations_are_remembered_than_a_worker_can_send_to() -> None:
    slots = Slots(32)
    for number in range(5000):
        slots.unanswered(f"https://{number}")
    room = slots.room()
    assert room is not None
    assert len(room.slots_of) <= 512
