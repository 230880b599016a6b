"""Every process replaced one after another under load, and nobody who calls or is called notices."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from tests.trouble.conftest import SetStage
from tests.trouble.load import Post, calling
from tests.trouble.stage import Stage

PER_SECOND = 200
LONGEST_DELAY_S = 2.0
CALLED_BACK_WITHIN_S = 30.0


@pytest.mark.timeout(120)
async def test_a_rolling_restart_of_every_process_fails_no_post_and_delays_no_message(
    set_stage: SetStage,
) -> None:
    stage = await set_stage()
    apis = await asyncio.gather(stage.api(), stage.api())
    workers = await asyncio.gather(stage.worker(), stage.worker())
    stops_s: dict[str, float] = {}
    started = time.monotonic()
    async with calling([api.url for api in apis], per_second=PER_SECOND) as caller:
        await stage.until_imported()
        for api in apis:
            stops_s[api.name] = await api.terminate(within_s=15)
            await stage.api(api.port)
        for worker in workers:
            stops_s[worker.name] = await worker.terminate(within_s=15)
            await stage.worker()
    took_s = time.monotonic() - started

    assert Counter(post.kind for post in caller.posts) == {"202": len(caller.posts)}
    got = await stage.receiver.wait_for(len(caller.posts), CALLED_BACK_WITHIN_S)
    assert {body["data"]["id"] for _, body in got} == {post.message["id"] for post in caller.posts}
    assert {body["type"] for _, body in got} == {"message.answered"}
    assert await stage.calls() == dict.fromkeys((post.number for post in caller.posts), 1)
    stage.never_said("import ambiguous, asking the export", "lease recovered", "grace is over, work cut off")
    delays_s = await _delays_s(stage, caller.posts)
    print(
        f"{len(caller.posts)} messages in {took_s:.1f} s ({len(caller.posts) / took_s:.0f}/s), "
        f"{caller.refused} connections refused, each tried at the other API; accept to import: "
        f"median {delays_s[len(delays_s) // 2] * 1000:.0f} ms, longest {delays_s[-1]:.2f} s; "
        f"longest POST {max(post.took_s for post in caller.posts):.2f} s; callbacks {len(got)}; "
        + ", ".join(f"{name} ended in {took:.1f} s" for name, took in stops_s.items())
    )
    assert delays_s[-1] <= LONGEST_DELAY_S
    await stage.tidy()


async def _delays_s(stage: Stage, posts: list[Post]) -> list[float]:
    """From accept to import, the shortest first."""
    imported = await stage.imported_at_ms()
    return sorted(imported[post.number] / 1000 - _epoch_s(post.message["accepted_at"]) for post in posts)


def _epoch_s(rfc3339: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(rfc3339).timestamp()
