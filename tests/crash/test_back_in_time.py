"""How soon what a dead worker had in hand goes on, with the leases and heartbeats of production."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.crash.crashes import LEASED, MARKED, crashes
from tests.crash.point import Point
from tests.crash.scene import Scene
from tests.servers import ValkeyServer
from tests.workers.rig import Json

ONE_AT_A_TIME = {"login-otp": "concurrency = 1"}
FIRST, SECOND = "+84901234567", "+84901234568"

pytestmark = pytest.mark.timeout(120)


async def test_a_dead_workers_batches_and_its_place_go_to_another_within_seconds(tmp_path: Path) -> None:
    async with (
        crashes(tmp_path, at_once=3, leases_ms=None) as stages,
        stages.scene(0, ONE_AT_A_TIME) as leased,
        stages.scene(1, ONE_AT_A_TIME) as sending,
        stages.scene(2, ONE_AT_A_TIME) as restarted,
    ):
        leased_s, (place_s, again_s), ready_s = await asyncio.gather(
            _from_crash_to_import_of_leased(leased),
            _from_crash_to_imports_beside_and_of_sending(sending),
            _from_ready_to_first_import(restarted, stages.stages[2].redis),
        )
    print(f"leased: {leased_s:.1f} s; place {place_s:.1f} s, sending {again_s:.1f} s; ready: {ready_s:.2f} s")
    assert leased_s < 6
    assert place_s < 6
    assert again_s < 1 + 5 + 0.4 + 6, "provider's timeout, lease's margin, window; sweep, export and hold"
    assert ready_s < 2


async def _from_crash_to_import_of_leased(scene: Scene) -> float:
    await scene.rig.send(FIRST)
    died_ms = await _dies(scene, LEASED)
    await scene.start()
    return (await _import_of(scene, FIRST) - died_ms) / 1000


async def _from_crash_to_imports_beside_and_of_sending(scene: Scene) -> tuple[float, float]:
    await scene.rig.send(FIRST)
    died_ms = await _dies(scene, MARKED)
    await scene.rig.send(SECOND)
    await scene.start()
    beside_ms = await _import_of(scene, SECOND)
    return (beside_ms - died_ms) / 1000, (await _import_of(scene, FIRST) - died_ms) / 1000


async def _from_ready_to_first_import(scene: Scene, redis: ValkeyServer) -> float:
    worker = await scene.start()
    await scene.rig.final(await scene.rig.send(FIRST))
    await worker.kill()
    await scene.rig.send(SECOND)
    redis.kill()
    redis.start()
    await scene.start()
    imported_ms = await _import_of(scene, SECOND)
    return (imported_ms - _ready_ms(scene.folder / "worker-2.log")) / 1000


async def _dies(scene: Scene, at: Point) -> float:
    worker = await scene.start(at)
    async with asyncio.timeout(20):
        await worker.ended.wait()
    return time.time() * 1000


async def _import_of(scene: Scene, number: str) -> float:
    """When the provider was first sent the number, ms since the epoch."""
    national = "0" + number.removeprefix("+84")
    async with asyncio.timeout(30):
        while True:
            imports: list[Json] = (await scene.rig.provider())["imports"]
            for one in imports:
                if national in one["numbers"]:
                    return float(one["at_ms"])
            await asyncio.sleep(0.1)


def _ready_ms(log: Path) -> float:
    line = next(line for line in log.read_text().splitlines() if '"worker ready"' in line)
    said = line.split('"timestamp": "')[1].split('"')[0]
    return datetime.fromisoformat(said).timestamp() * 1000
