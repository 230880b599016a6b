"""A whole relay is run with a planted secret in every place, and none of it is found where it does not belong."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config import load_config
from app.store.connection import connect_raw
from tests.canaries.full_run import HIDDEN, Ran, play
from tests.canaries.search import Place, leaks_in
from tests.trouble.conftest import SetStage
from tests.trouble.stage import Stage, free_port


async def _played(set_stage: SetStage, monkeypatch: pytest.MonkeyPatch) -> tuple[Stage, Ran]:
    port = free_port()
    for name, value in (
        ("RELAY_LOG_LEVEL", "debug"),
        ("PYTHONASYNCIODEBUG", "1"),
        ("PYTHONWARNINGS", "always"),
        ("RELAY_WORKER_PORT", str(port)),
    ):
        monkeypatch.setenv(name, value)
    stage = await set_stage()
    receiver_url = str(load_config(stage.file).clients["checkout"].callback_url).rpartition("/")[0]
    api, worker = await stage.api_and_workers(())
    ran = await play(receiver_url, api, port)
    await stage.receiver.wait_for(2)
    await worker.until_said("callback delivered", 2)
    for process in (api, worker):
        await process.terminate(within_s=15)
    return stage, ran


async def test_a_whole_run_shows_nothing_that_was_planted(
    set_stage: SetStage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage, ran = await _played(set_stage, monkeypatch)
    assert sorted(ran.states.values()) == ["answered", "failed"]  # the other number's ending is busy
    told = [body["data"]["reference"] for _, body in stage.receiver.got]
    assert told == [HIDDEN["Reference"]] * 2
    for answer in ran.answers:
        assert leaks_in(answer.content, Place.ANSWER) == [], answer.request.url.path
    for metrics in ran.metrics:
        assert b"relay_" in metrics
        assert leaks_in(metrics, Place.METRICS) == []
    for process in stage.processes:
        said = process.log_file.read_bytes()
        assert b'"level": "debug"' in said or process.name.startswith("worker")
        assert leaks_in(said, Place.LOG) == [], process.name
    await _assert_sealed(stage)


async def _assert_sealed(stage: Stage) -> None:
    """What was planted is there, but sealed; and the codes are gone."""
    redis = connect_raw(stage.server.url)
    names = [name.decode() for name in await redis.keys("relay:*")]
    kinds = {name.split(":")[2] for name in names if name.count(":") > 1}
    assert {"m", "e", "idem", "token", "by_number", "by_reference", "number_rate"} <= kinds
    records = [await redis.hgetall(name) for name in names if ":m:" in name]  # type: ignore[misc]
    assert len(records) == 2
    for flat in records:
        record = dict(zip(flat[::2], flat[1::2], strict=True))
        assert {b"b", b"k"} <= record.keys()
        assert b"c" not in record
    await redis.aclose()
    stage.server.look_for_canaries()
