"""SIGTERM: what is in hand is finished, what is open is answered, and nothing is left to a lease."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from typing import Any

import httpx
import pytest
import uvicorn

from app.serve import _listen, _Server
from app.store.connection import connect_raw
from app.store.database import PREFIX
from tests.trouble.conftest import SetStage
from tests.trouble.load import Caller, calling, number
from tests.trouble.stage import API_KEY, OWN_WORKER, PLAIN_ARQ, Process, Stage
from tests.workers.rig import OTP

KEY = {"authorization": f"Bearer {API_KEY}"}


async def _state_of(stage: Stage, message_id: str) -> str:
    redis = connect_raw(stage.server.url)
    state = await redis.hget(f"{PREFIX}m:{message_id}", "s")  # type: ignore[misc]
    await redis.aclose()
    return state.decode() if isinstance(state, bytes) else ""


async def _accepted(caller: Caller) -> str:
    post = await caller.send()
    assert post.kind == "202", post
    return str(post.message["id"])


async def test_an_import_of_3_s_is_finished_and_settled_before_a_plain_arq_worker_ends(
    set_stage: SetStage,
) -> None:
    stage = await set_stage(timeout="8s")
    api, worker = await stage.api_and_workers(PLAIN_ARQ)
    await stage.fault("slow", on="import", delay_ms=3_000, times=1)
    async with calling([api.url]) as caller:
        message_id = await _accepted(caller)
        await stage.until_imported()
        worker.os_process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)  # an impatient supervisor says it again
        assert await worker.terminate(within_s=8) > 1.5
    assert await _state_of(stage, message_id) == "submitted"
    assert [one["taken"] for one in worker.said("import settled")] == [1]
    stage.never_said("import ambiguous, asking the export", "grace is over, work cut off")
    redis = connect_raw(stage.server.url)
    assert await redis.exists(f"{PREFIX}collector:main/{OTP}") == 0
    await redis.aclose()
    await stage.tidy()


async def test_a_batch_that_redis_leases_in_the_moment_of_the_signal_is_carried(set_stage: SetStage) -> None:
    stage = await set_stage(linger="1s")
    api, worker = await stage.api_and_workers(())
    async with calling([api.url]) as caller:
        message_id = await _accepted(caller)
        await asyncio.sleep(0.4)  # the worker has been told when to ask again
        stage.server.freeze()
        await asyncio.sleep(1.0)  # the batch is due and asked for, and no answer can come
        worker.os_process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        stage.server.thaw()
        assert await worker.ended(within_s=8) == 0
    assert await _state_of(stage, message_id) == "submitted"
    assert await stage.calls() == {number(0): 1}


async def test_a_callback_that_redis_gives_out_in_the_moment_of_the_signal_is_delivered(
    set_stage: SetStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_LOG_LEVEL", "debug")
    stage = await set_stage()
    api, worker = await stage.api_and_workers(())
    stage.receiver.statuses = [503]
    async with calling([api.url]) as caller:
        await _accepted(caller)
        await stage.receiver.wait_for(1)
        await worker.until_said("callback retry")
        await asyncio.sleep(0.05)  # the worker has been told when to ask again
        stage.server.freeze()
        await asyncio.sleep(0.5)  # the next attempt is due and asked for, and no answer can come
        worker.os_process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        stage.server.thaw()
        assert await worker.ended(within_s=8) == 0
    assert len(worker.said("callback delivered")) == 1
    assert len(set(stage.receiver.ids)) == 1


async def test_what_a_worker_leaves_queued_gets_a_wake_up_for_the_others(set_stage: SetStage) -> None:
    stage = await set_stage(linger="10s")
    api, going = await stage.api_and_workers(())
    async with calling([api.url]) as caller:
        await _accepted(caller)
        await asyncio.sleep(0.5)
        await going.terminate(within_s=5)
    redis = connect_raw(stage.server.url)
    assert await redis.lrange(f"{PREFIX}wake", 0, -1) == [b"login-otp"]  # type: ignore[misc]
    await redis.aclose()


async def test_open_connections_are_answered_once_more_and_told_to_close(set_stage: SetStage) -> None:
    stage = await set_stage()
    api = await stage.api()
    ours = [await asyncio.open_connection("127.0.0.1", api.port) for _ in range(6)]
    for reader, writer in ours:
        assert (await _ask(reader, writer, "GET /livez"))[:2] == (200, "")
    api.os_process.send_signal(signal.SIGTERM)
    await _until_refused(api)
    assert await _ask(*ours[0], "GET /readyz") == (503, "close", "stopping")
    post = json.dumps({"campaign": "login-otp", "phone_number": "0901234567", "otp_code": "004217"})
    for reader, writer in ours[1:5]:  # longer than it waits where nothing comes
        await asyncio.sleep(0.5)
        assert await _ask(reader, writer, "POST /v1/messages", post) == (202, "close", "queued")
        assert await reader.read() == b""
    assert await api.ended(within_s=3) == 0
    assert await ours[5][0].read() == b""
    for _, writer in ours:
        writer.close()


async def test_what_the_kernel_took_between_the_start_and_the_end_is_answered_and_nothing_before() -> None:
    listener = _listen("127.0.0.1", 0)
    config = uvicorn.Config(_says_no, lifespan="off", log_config=None)
    config.load()
    server = _Server(config, stop_taking=lambda: None)
    server.lifespan = config.lifespan_class(config)
    with pytest.raises(ConnectionRefusedError):  # a caller goes elsewhere while it starts
        socket.create_connection(listener.getsockname())
    await server.startup([listener])
    with socket.create_connection(listener.getsockname()) as ours:
        ours.sendall(
            b"GET / HTTP/1.1\r\nhost: relay\r\n\r\n"
        )  # the loop did not run: nobody has taken it yet
        await server.shutdown([listener])
        answer = ours.recv(1_000).lower()
    assert answer.startswith(b"http/1.1 404")
    assert b"connection: close" in answer


async def _says_no(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


async def test_nobody_who_waits_for_an_outcome_holds_the_api(set_stage: SetStage) -> None:
    stage = await set_stage()
    api = await stage.api()
    async with calling([api.url]) as caller, httpx.AsyncClient(headers=KEY, trust_env=False) as http:
        message_id = await _accepted(caller)
        waiting = asyncio.create_task(
            http.get(f"{api.url}/v1/messages/{message_id}", params={"wait": 60}, timeout=20)
        )
        await asyncio.sleep(0.3)
        assert await api.terminate(within_s=5) < 2.5
        answer = await waiting
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    assert answer.json()["state"] == "queued"


async def test_without_redis_every_process_still_ends_in_time_and_with_code_0(set_stage: SetStage) -> None:
    stage = await set_stage()
    going = await stage.api_and_workers((), PLAIN_ARQ)
    async with calling([going[0].url]) as caller:
        await _accepted(caller)
        await stage.until_imported()
        stage.server.kill()
        await going[1].until_said("redis is away, waiting for it", times=4)
        took_s = await asyncio.gather(*(one.terminate(within_s=10) for one in going))
    print(", ".join(f"{one.name} {took:.1f} s" for one, took in zip(going, took_s, strict=True)))


async def test_a_frozen_redis_holds_nobody_beyond_10_s(set_stage: SetStage) -> None:
    stage = await set_stage()
    going = await stage.api_and_workers((), PLAIN_ARQ)
    async with calling([going[0].url]) as caller:
        await _accepted(caller)
        stage.server.freeze()
        unknown = asyncio.create_task(caller.send())
        await asyncio.sleep(0.2)
        took_s = await asyncio.gather(*(one.terminate(within_s=10) for one in going))
        assert (await unknown).kind == "outcome-unknown"
    stage.server.thaw()
    print(", ".join(f"{one.name} {took:.1f} s" for one, took in zip(going, took_s, strict=True)))


async def test_processes_started_before_redis_say_so_once_and_go_on_when_it_comes(
    set_stage: SetStage,
) -> None:
    stage = await set_stage()
    stage.server.kill()
    workers = [await stage.worker(ready=False), await stage.worker(*PLAIN_ARQ, ready=False)]
    gives_up = await stage.worker(ready=False)
    api = await stage.api()
    for worker in [*workers, gives_up]:
        await worker.until_said("redis is away, waiting for it")
    assert await gives_up.terminate(within_s=5) < 3
    await asyncio.sleep(2)
    assert [[line["event"] for line in one.log()] for one in [api, *workers]] == [
        ["redis is away, answering 503 until it is there", "api ready"],
        ["redis is away, waiting for it"],
        ["redis is away, waiting for it"],
    ]
    stage.server.start()
    back = time.monotonic()
    for worker in workers:
        await worker.until_said("worker ready")
    async with calling([api.url]) as caller:
        await caller.until_taken()
        await stage.until_imported()
    assert time.monotonic() - back <= 3


@pytest.mark.parametrize(
    ("argv", "setting", "value", "says"),
    (
        (OWN_WORKER, "maxmemory-policy", "allkeys-lru", "set `maxmemory-policy noeviction`"),
        (PLAIN_ARQ, "maxmemory-policy", "volatile-ttl", "set `maxmemory-policy noeviction`"),
        (OWN_WORKER, "requirepass", "secret", "mend user and password in [redis] url"),
    ),
)
async def test_a_worker_refuses_a_redis_that_is_not_fit_and_says_how_to_mend_it(
    set_stage: SetStage, argv: tuple[str, ...], setting: str, value: str, says: str
) -> None:
    stage = await set_stage()
    redis = connect_raw(stage.server.url)
    await redis.config_set(setting, value)
    await redis.aclose()
    worker = await stage.worker(*argv, ready=False)
    assert await worker.ended(within_s=10) == 1
    said = worker.log_file.read_text()
    assert says in said
    assert "Traceback" not in said


async def _until_refused(api: Process) -> None:
    async with asyncio.timeout(3):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", api.port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.01)


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, what: str, body: str = ""
) -> tuple[int, str, str]:
    """Asks on an open connection: the status, the `Connection` header, and the `status` or `state` of the body."""
    lines = [f"{what} HTTP/1.1", "host: relay", f"authorization: Bearer {API_KEY}"]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    writer.write("\r\n".join([*lines, "", body]).encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
    answer = json.loads(await reader.readexactly(int(headers["content-length"])))
    said = answer.get("state") or answer.get("status")
    return int(head.split()[1]), headers.get("connection", ""), "" if said == "alive" else said
