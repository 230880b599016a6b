"""Redis away, full, slow, replaced, forgetful: refusals of the right kind, nothing lost, nobody called twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.config import Config, load_config
from app.store.batches import Batch
from app.store.commit import Committer
from app.store.connection import connect_raw
from app.store.database import PREFIX
from app.store.faults import StoreUnavailableError
from app.store.lua import script
from app.store.opening import open_database
from tests.store.desk import Desk
from tests.trouble.conftest import SetStage
from tests.trouble.ledger import balance
from tests.trouble.load import Caller, calling, number
from tests.trouble.stage import API_KEY, Process, Stage
from tests.workers.rig import until

OUTAGE_S = float(os.environ.get("OTP_RELAY_OUTAGE_S", "4"))
"""Longer than every pause of a task that waits; set it for a longer one."""
RESUMED_WITHIN_S = 3.0
_UNLIMITED = 0
_TASKS = 7
"""Of a worker: two drains, two collectors, push, listen, arq."""
_WORRIES = ("warning", "error", "critical")


def _worries(process: Process) -> list[str]:
    return [
        f"{line['event']} ({line.get('task', '')})" for line in process.log() if line["level"] in _WORRIES
    ]


@pytest.mark.timeout(120)
async def test_while_redis_is_away_callers_are_told_so_and_all_resumes_when_it_is_back(
    set_stage: SetStage,
) -> None:
    stage = await set_stage()
    api, *workers = await stage.api_and_workers((), ())
    async with calling([api.url], per_second=20) as caller:
        await stage.until_imported(10)
        await stage.fault("slow", on="import", when="after", delay_ms=1_000, times=1)
        imports = (await stage.provider())["counts"]["import_requests"]
        await stage.until_imported(imports + 1)
        stage.server.kill()
        await asyncio.sleep(OUTAGE_S)
        last, told = len(caller.posts), len(stage.receiver.got)
        stage.server.start()
        resumed_s = await _resumed_s(stage, caller, last, told)
    kinds = await balance(stage, caller, api.url)
    worries = {process.name: _worries(process) for process in (api, *workers)}
    print(
        f"away for {OUTAGE_S:g} s: {dict(kinds)}; after its return "
        + ", ".join(f"{what} after {after:.2f} s" for what, after in resumed_s.items())
        + f"; lines of the log: { {name: len(lines) for name, lines in worries.items()} }"
    )
    assert kinds["unavailable"] > 10 * OUTAGE_S
    kept = [line["batch"] for one in workers for line in one.said("import's answer kept until redis is back")]
    assert len(kept) == len(set(kept)) >= 1
    assert max(resumed_s.values()) <= RESUMED_WITHIN_S
    assert [process.os_process.returncode for process in (api, *workers)] == [None] * 3
    for process in workers:
        assert len(process.said("redis is away, waiting for it")) <= _TASKS
        assert len(worries[process.name]) <= 2 * _TASKS, worries
    assert len(worries[api.name]) <= kinds["outcome-unknown"] + 1, worries


async def _resumed_s(stage: Stage, caller: Caller, last: int, told: int) -> dict[str, float]:
    """How long after now the first of each came: an accepted message, its import, and a callback."""
    back, resumed = time.monotonic(), {}
    exports = (await stage.provider())["counts"]["export_requests"]
    fresh: set[str] = set()

    def accepted() -> bool:
        fresh.update(post.number for post in caller.posts[last:] if post.kind == "202")
        return bool(fresh)

    await until(accepted, "a message is accepted")
    resumed["accepted"] = time.monotonic() - back
    while not fresh & set(await stage.calls()):  # noqa: ASYNC110  it tells no other way
        await asyncio.sleep(0.02)
    resumed["imported"] = time.monotonic() - back
    while (await stage.provider())["counts"]["export_requests"] == exports:  # noqa: ASYNC110  it tells no other way
        await asyncio.sleep(0.02)
    resumed["export asked"] = time.monotonic() - back
    await until(lambda: len(stage.receiver.got) > told, "a callback comes")
    resumed["called back"] = time.monotonic() - back
    return resumed


@pytest.mark.timeout(120)
async def test_lost_connections_and_scripts_a_restart_and_a_slow_command_cost_nothing_but_time(
    set_stage: SetStage,
) -> None:
    stage = await set_stage()
    api, *workers = await stage.api_and_workers((), ())
    async with calling([api.url], per_second=50) as caller:
        await stage.until_imported(5)
        for _ in range(3):
            await _ask_redis(stage, "CLIENT", "KILL", "TYPE", "normal")
            await _ask_redis(stage, "CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.sleep(0.3)
            await _ask_redis(stage, "SCRIPT", "FLUSH")
            await asyncio.sleep(0.3)
        stage.server.freeze()
        await asyncio.sleep(3)
        stage.server.thaw()
        await asyncio.sleep(0.5)
        stage.server.kill()
        stage.server.start()
        await asyncio.sleep(0.5)
    kinds = await balance(stage, caller, api.url)
    print(f"{len(caller.posts)} messages: {dict(kinds)}")
    assert [process.os_process.returncode for process in (api, *workers)] == [None] * 3
    for process in (api, *workers):
        assert process.said("task failed, starting it again") == process.said("request failed") == []


async def _ask_redis(stage: Stage, *command: str | int) -> None:
    redis = connect_raw(stage.server.url)
    await redis.execute_command(*command)  # type: ignore[no-untyped-call]
    await redis.aclose()


async def _let_memory_be(stage: Stage, most_bytes: int) -> None:
    await _ask_redis(stage, "CONFIG", "SET", "maxmemory", most_bytes)


async def test_a_full_redis_takes_nothing_half_and_workers_finish_what_is_in(set_stage: SetStage) -> None:
    stage = await set_stage()
    api = await stage.api()
    config = load_config(stage.file)
    async with _desk(config) as desk, calling([api.url]) as caller:
        for _ in range(5):
            assert (await caller.send()).kind == "202"
        orphan = await desk.batches.lease(config.campaigns["login-otp"], config.accounts["main"])
        assert isinstance(orphan, Batch)
        await desk.make_overdue(orphan.batch_id)
        before = await desk.dump()
        await _let_memory_be(stage, 1)
        for _ in range(5):
            post = await caller.send()
            assert (post.kind, post.retry_after) == ("unavailable", "1")
        await _refused_with_a_key(api)
        await _let_memory_be(stage, _UNLIMITED)
        assert await desk.dump() == before
        await _let_memory_be(stage, 1)

        worker = await stage.worker()
        await stage.receiver.wait_for(5)
        assert len(worker.said("lease recovered")) == 1
        assert await stage.calls() == {number(n): 1 for n in range(5)}
        await worker.until_said("redis is away, waiting for it")
        assert [line["error"] for line in worker.said("redis is away, waiting for it")] == [
            "redis refused: OOM"
        ]
        assert (await caller.send()).kind == "unavailable"

        await _let_memory_be(stage, _UNLIMITED)
        assert (await caller.send()).kind == "202"
        await stage.receiver.wait_for(6)
    assert worker.os_process.returncode is None
    await stage.tidy()


@contextlib.asynccontextmanager
async def _desk(config: Config) -> AsyncIterator[Desk]:
    database = await open_database(config)
    try:
        yield Desk(database)
    finally:
        await database.close()


async def _refused_with_a_key(api: Process) -> None:
    one = {"campaign": "login-otp", "phone_number": "0909999999", "otp_code": "004217"}
    async with httpx.AsyncClient(base_url=api.url, trust_env=False) as http:
        headers = {"authorization": f"Bearer {API_KEY}", "idempotency-key": "k"}
        for path, body in (("/v1/messages", one), ("/v1/messages/batch", {"messages": [one, one]})):
            answer = await http.post(path, json=body, headers=headers)
            assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (503, "unavailable")


async def test_a_redis_that_answers_no_greeting_has_surely_taken_nothing(set_stage: SetStage) -> None:
    stage = await set_stage()
    api = await stage.api()
    stage.server.freeze()
    async with calling([api.url]) as caller:
        posts = await asyncio.gather(caller.send(), caller.send())
    stage.server.thaw()
    assert [post.kind for post in posts] == ["unavailable"] * 2
    assert max(post.took_s for post in posts) < 5


async def test_a_redis_that_is_loading_has_surely_taken_nothing(tmp_path: Path) -> None:
    async def load(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while sent := await reader.read(65_536):
            loading = b"-LOADING Redis is loading the dataset in memory\r\n"
            writer.write(loading if b"EVALSHA" in sent else b"+OK\r\n" * sent.count(b"CLIENT"))
        writer.close()

    server = await asyncio.start_unix_server(load, tmp_path / "s")
    committer = Committer(connect_raw(f"unix://{tmp_path / 's'}", socket_timeout=None), None)
    with pytest.raises(StoreUnavailableError):
        await committer.run(script("cancel"), PREFIX, ("msg_x", "checkout"))
    await committer.close()
    server.close()


async def test_a_redis_that_comes_late_and_could_lose_messages_is_refused_until_it_is_mended(
    set_stage: SetStage,
) -> None:
    stage = await set_stage()
    stage.server.kill()
    api = await stage.api()
    stage.server.start("--maxmemory-policy", "allkeys-lru")
    await api.until_said("redis is not fit, answering 503 until it is mended")
    [line] = api.said("redis is not fit, answering 503 until it is mended")
    assert "set `maxmemory-policy noeviction`" in line["error"]
    async with calling([api.url]) as caller:
        assert (await caller.send()).kind == "unavailable"
        await _ask_redis(stage, "CONFIG", "SET", "maxmemory-policy", "noeviction")
        await caller.until_taken()
