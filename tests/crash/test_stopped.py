"""A worker stopped for longer than its lease, which goes on when another has done its work: it changes nothing."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from tests.crash.acts import stop
from tests.crash.crashes import LEASED, MARKED, crashes
from tests.crash.point import Crash, Point


def _before(name: str) -> Point:
    return Point(name, "before")


IMPORT = "http POST /api/campaigns/sandbox-login-otp/import"
ANSWERED = Point(IMPORT, "after", answer="200")

STOPPED = {
    "with a batch that it leased": (LEASED, ("redis mark_sending", "lost")),
    "with an import that it marked, and has not written": (MARKED, ("redis settle", "lost")),
    "with an import's answer that it has not read": (ANSWERED, ("redis settle", "lost")),
    "about to say what an import's answer was": (
        _before("redis settle missing release"),
        ("redis settle", "lost"),
    ),
    "about to split a batch": (_before("redis split"), ("redis split", "lost")),
    "with a page of an export in hand": (_before("redis outcome"), ("redis outcome", "known")),
    "about to give an ambiguous import up": (
        _before("redis reconcile retry"),
        ("redis reconcile retry", "lost"),
    ),
    "about to say that a callback was delivered": (
        _before("redis settle_event delivered"),
        ("redis settle_event delivered", "lost"),
    ),
}
"""Where the worker is stopped, and the effect and answer by which it learns that it came too late."""


@pytest.mark.timeout(120)
async def test_a_worker_that_wakes_up_too_late_changes_nothing(tmp_path: Path) -> None:
    async with crashes(tmp_path, at_once=len(STOPPED)) as stages:
        acts = [partial(stop, tries=tries) for _, tries in STOPPED.values()]
        points = [Crash(point) for point, _ in STOPPED.values()]
        went = await asyncio.gather(*map(stages.play_at, range(len(acts)), points, acts))
    results = dict(zip(STOPPED, went, strict=True))
    assert {when: one.played.violations for when, one in results.items() if one.played.violations} == {}
    assert [when for when, one in results.items() if not one.played.reached] == []
