"""A worker killed at each point between two of its effects: nothing is lost, nobody is called twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.store.lua import script_names
from tests.crash.crashes import crashes
from tests.crash.point import Effects

AT_ONCE = 10
OF_THE_API = {"accept", "batch_key", "cancel"}
BY_HAND = {
    "replay_event", "lock_account", "set_aside", "reseal_token",
    "pause", "drain", "resume", "record_action", "count_hour",
}  # fmt: skip
"""Replays, operators' words, a ceiling, a key changed at the provider or of the encryption: the story has none."""
BY_CHANCE = {"wake_again"}
"""The sweep wakes for what is queued in that moment; a wake-up is a hint, and nothing rests on it."""

pytestmark = pytest.mark.timeout(300)


async def test_a_worker_killed_at_any_point_loses_nothing_and_calls_nobody_twice(tmp_path: Path) -> None:
    async with crashes(tmp_path, at_once=AT_ONCE) as stages:
        effects, planned = await stages.plan(every=False)
        assert _scripts_met(effects) - BY_CHANCE == set(script_names()) - OF_THE_API - BY_HAND - BY_CHANCE
        assert "redis recover_leases" in {crash.then.name for crash in planned if crash.then is not None}
        results = [result async for result in stages.play_all(planned)]
    assert [str(result) for result in results if result.played.violations] == []
    reached = [result for result in results if result.played.reached]
    # Some answers come up by chance alone, so not each is met again; but each effect is, with one of its answers.
    assert {one.crash.at.name for one in reached} == {crash.at.name for crash in planned}
    assert len(reached) >= 0.9 * len(planned)
    slowest_s = max(result.played.settled_s for result in reached)
    print(
        f"{len(reached)} of {len(planned)} crashes at {len(effects)} effects, settled within {slowest_s:.1f} s"
    )


def _scripts_met(effects: Effects) -> set[str]:
    """The scripts among the effects: a script that a later change adds has to come up in the story."""
    words = {name.removeprefix("redis ").partition(" ")[0] for _, name, _ in effects}
    return words & set(script_names())
