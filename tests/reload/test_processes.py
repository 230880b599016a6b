"""Whole processes are told to reload, under load and with work in hand, and nobody who calls or is called notices."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from app.callbacks.signing import generate_secret
from tests.servers import receiving
from tests.trouble.conftest import SetStage
from tests.trouble.load import calling
from tests.trouble.stage import OWN_WORKER, PLAIN_ARQ, Process, Stage
from tests.workers.rig import SIGNING_SECRET, until

PER_SECOND, RELOADS = 100, 10
TAKEN_UP = "configuration taken up"
REFUSED = "configuration refused, the old stays"
ANOTHER_KEY = "sha256:" + "ab" * 32
CALLED_BACK_WITHIN_S = 20.0
NEVER = ("import ambiguous, asking the export", "lease recovered", "grace is over, work cut off",
    "lease lost before the import, nothing sent", "task failed, starting it again", "work failed", "request failed",
)  # fmt: skip


async def _reload(stage: Stage, text: str, phrase: str, times: int, *processes: Process) -> None:
    stage.file.write_text(text)
    for process in processes:
        process.os_process.send_signal(signal.SIGHUP)
    for process in processes:
        await process.until_said(phrase, times)


@pytest.mark.timeout(90)
async def test_ten_reloads_under_load_fail_no_post_lose_no_message_and_double_no_call(
    set_stage: SetStage,
) -> None:
    stage = await set_stage()
    processes = await stage.api_and_workers(OWN_WORKER)
    text = stage.file.read_text()
    async with calling([processes[0].url], per_second=PER_SECOND) as caller:
        await stage.until_imported()
        for turn in range(1, RELOADS + 1):
            changed = text.replace('linger = "5ms"', f'linger = "{5 + turn}ms"')
            if turn % 2:
                changed = changed.replace('"sha256:', f'"{ANOTHER_KEY}", "sha256:', 1)
            await _reload(stage, changed, TAKEN_UP, turn, *processes)
            await until(lambda: len(caller.posts) >= 25 * turn, "posts go on")  # noqa: B023  awaited at once
            if turn in (3, 7):
                await _reload(stage, "[redis]\nurl = 1", REFUSED, 1 if turn == 3 else 2, *processes)
    assert Counter(post.kind for post in caller.posts) == {"202": len(caller.posts)}
    got = await stage.receiver.wait_for(len(caller.posts), CALLED_BACK_WITHIN_S)
    assert {body["data"]["id"] for _, body in got} == {post.message["id"] for post in caller.posts}
    assert {body["type"] for _, body in got} == {"message.answered"}
    assert await stage.calls() == dict.fromkeys((post.number for post in caller.posts), 1)
    stage.never_said(*NEVER)
    print(
        f"{len(caller.posts)} messages over {RELOADS} reloads, longest POST {max(p.took_s for p in caller.posts):.2f} s"
    )
    await stage.tidy()


async def test_an_import_in_hand_is_finished_as_it_was_begun_and_keeps_no_reload_waiting(
    set_stage: SetStage,
) -> None:
    stage = await set_stage(timeout="8s")
    api, worker = await stage.api_and_workers(PLAIN_ARQ)
    await stage.fault("slow", on="import", delay_ms=2_500, times=1)
    async with calling([api.url]) as caller:
        slow = await caller.send()
        await stage.until_imported()
        asked = time.monotonic()
        text = stage.file.read_text().replace('timeout = "8s"', 'timeout = "7s"')
        await _reload(stage, text, TAKEN_UP, 1, worker)
        assert time.monotonic() - asked < 2.2
        quick = await caller.send()
        got = await stage.receiver.wait_for(1)
        assert got[0][1]["data"]["id"] == quick.message["id"]
        worker.os_process.send_signal(signal.SIGHUP)
        got = await stage.receiver.wait_for(2)
        await worker.until_said(TAKEN_UP, 2)
    order = [line["event"] for line in worker.log() if line["event"] in (TAKEN_UP, "import settled")]
    assert order == [
        TAKEN_UP,
        "import settled",
        "import settled",
        TAKEN_UP,
    ]  # never more than two side by side
    assert [body["data"]["id"] for _, body in got] == [quick.message["id"], slow.message["id"]]
    assert {body["type"] for _, body in got} == {"message.answered"}
    assert await stage.calls() == {slow.number: 1, quick.number: 1}
    await worker.terminate(within_s=8)
    stage.never_said(*NEVER)
    await stage.tidy()


async def test_a_signing_secret_swapped_on_disk_signs_the_next_callback_with_nobody_asking(
    set_stage: SetStage, tmp_path: Path
) -> None:
    signed: list[dict[str, str]] = []
    bodies: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        signed.append(dict(request.headers))
        return web.Response(status=204)

    async with receiving(take) as url:
        stage = await set_stage()
        secret, new = tmp_path / "secret", generate_secret()
        secret.write_text(SIGNING_SECRET)
        stage.configure(url)
        text = stage.file.read_text().replace(f'"{SIGNING_SECRET}"', '{ file = "secret" }')
        stage.file.write_text(text)
        processes = await stage.api_and_workers(OWN_WORKER)
        link = tmp_path / "link"
        (tmp_path / "swapped").write_text(new)
        async with calling([processes[0].url]) as caller:
            await caller.send()
            await until(lambda: len(signed) == 1, "the first callback")
            link.symlink_to(tmp_path / "swapped")
            link.replace(secret)
            await asyncio.gather(*(process.until_said(TAKEN_UP) for process in processes))
            await caller.send()
            await until(lambda: len(signed) == 2, "the second callback")
        Webhook(SIGNING_SECRET).verify(bodies[0], signed[0])
        Webhook(new).verify(bodies[1], signed[1])
        for process in processes:
            assert new not in process.log_file.read_text()
        stage.never_said(*NEVER)
