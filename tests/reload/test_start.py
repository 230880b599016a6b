"""No process starts with a configuration that takes away what is in use, and each says what to do."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import httpx

from app.config import load_config
from app.store.in_use import refuse_in_use
from app.store.opening import open_database
from tests.api.desk import config_text, open_api
from tests.cli.command_line import ran
from tests.reload.test_api import without
from tests.trouble.conftest import SetStage
from tests.trouble.stage import free_port

SAYS = "campaigns.login-otp: found nothing, expected it as it was, for it has 1 message that is not final"


async def test_api_worker_and_check_refuse_a_file_without_a_campaign_that_is_in_use(
    redis_url: str, tmp_path: Path
) -> None:
    async with open_api(redis_url) as api:
        await refuse_in_use(api.database, api.config)
        await api.sent()
        file = tmp_path / "relay.toml"
        file.write_text(without(config_text(redis_url), "campaigns.login-otp"))
        served, worked, checked = await asyncio.gather(
            ran("api", "--config", str(file), "--port", "0"),
            ran("worker", "--config", str(file), RELAY_WORKER_PORT="0"),
            ran("check", "--config", str(file)),
        )
    for ended in (served, worked):
        assert ended.code == 1
        assert SAYS in ended.err
        assert "Traceback" not in ended.err
    assert checked.code == 1
    assert SAYS.partition(": ")[2] in checked.out
    assert "in use" in checked.out


async def test_a_hangup_while_redis_is_away_ends_nobody_and_is_heeded_when_it_is_there(
    set_stage: SetStage,
) -> None:
    stage = await set_stage()
    whole = stage.file.read_text()
    await _put_in_use(stage.file)
    stage.server.kill()
    worker = await stage.worker(ready=False)
    await worker.until_said("redis is away, waiting for it")
    stage.file.write_text(without(whole, "campaigns.order-notice"))
    api = await stage.api(free_port())
    for process in (worker, api):
        process.os_process.send_signal(signal.SIGHUP)
    stage.server.start()
    await worker.until_said("worker ready")
    await worker.until_said("configuration refused, the old stays")
    await api.until_said("configuration lacks what is in use, answering 503 until it is mended")
    async with httpx.AsyncClient(base_url=api.url, trust_env=False) as http:
        assert (await http.get("/readyz")).status_code == 503
        stage.file.write_text(whole)
        for process in (worker, api):
            process.os_process.send_signal(signal.SIGHUP)
        await worker.until_said("configuration taken up")
        await api.until_said("redis is there")
        assert (await http.get("/readyz")).status_code == 200
    for process in (worker, api):
        assert process.os_process.returncode is None


async def _put_in_use(file: Path) -> None:
    """As if a message of `order-notice` were queued, which no sweep ends, for it has no record."""
    database = await open_database(load_config(file))
    try:
        await refuse_in_use(database, load_config(file))
        await database.read("ZADD", database.key("queued", "order-notice"), "9e15", "msg_of_order_notice")
    finally:
        await database.close()
