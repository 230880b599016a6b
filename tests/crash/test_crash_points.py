"""A worker killed at each point between two of its effects: nothing is lost, nobody is called twice."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from app.store.lua import script_names
from tests.crash.acts import die
from tests.crash.crashes import crashes
from tests.crash.point import Point
from tests.crash.points import Effects, one_of_each_class

AT_ONCE = 10
OF_THE_API = {"accept", "batch_key", "cancel"}
BY_HAND = {"replay_event", "lock_account"}
"""A client's replay, and a secret key that was changed at the provider: the story has neither."""

pytestmark = pytest.mark.timeout(300)


async def test_a_worker_killed_at_any_point_loses_nothing_and_calls_nobody_twice(tmp_path: Path) -> None:
    async with crashes(tmp_path, at_once=AT_ONCE) as stages:
        effects = await stages.effects()
        assert _scripts_met(effects) == set(script_names()) - OF_THE_API - BY_HAND
        points = one_of_each_class(effects)
        results = [result async for result in stages.play_all(points)]
    assert [str(result) for result in results if result.played.violations] == []
    assert [str(result) for result in results if not result.played.reached] == []
    slowest_s = max(result.played.settled_s for result in results)
    print(f"{len(points)} crash points of {len(effects)} effects, settled in {slowest_s:.1f} s at the latest")


async def test_a_worker_killed_while_it_takes_up_what_another_left_loses_nothing(tmp_path: Path) -> None:
    leased = Point("redis lease", "after", answer="batch")
    sending = Point("redis mark_sending", "after", answer="sending")
    recovery = Point("redis recover_leases", "after", answer="some")
    async with crashes(tmp_path, at_once=2) as stages:
        results = [one async for one in stages.play_all([leased, sending], partial(die, then=recovery))]
    assert [str(one) for one in results if one.played.violations or not one.played.reached] == []


def _scripts_met(effects: Effects) -> set[str]:
    """The scripts among the effects: a script that a later change adds has to come up in the story."""
    words = {name.removeprefix("redis ").partition(" ")[0] for _, name, _ in effects}
    return words & set(script_names())
