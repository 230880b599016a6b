"""Moves in any order, on a real Redis and on the model of it: crashes, workers that come late, steps of the clock.

For a night: `pytest tests/store/test_any_order.py --hypothesis-profile=long`.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.store.machine import AnyOrder

SCRIPTS = (
    "accept", "cancel", "claim_events", "expire", "lease", "mark_sending", "outcome", "reconcile", "recover_leases",
    "renew_lease", "replay_event", "settle", "settle_event", "split", "time_out",
)  # fmt: skip
"""Each of them is made by the machine, and answers and writes what the model says."""


IS_LONG = settings.get_current_profile_name() == "long"


def _quick_or_as_asked(*, same_each_time: bool) -> settings:
    return settings(settings.get_profile("long" if IS_LONG else "quick"), derandomize=same_each_time)


@pytest.mark.timeout(0 if IS_LONG else 120)
@pytest.mark.parametrize("same_each_time", (True, False))
def test_no_order_of_moves_breaks_what_the_model_promises(unsynced_url: str, same_each_time: bool) -> None:
    machine = type("AnyOrderHere", (AnyOrder,), {"url": unsynced_url})
    run_state_machine_as_test(machine, settings=_quick_or_as_asked(same_each_time=same_each_time))
