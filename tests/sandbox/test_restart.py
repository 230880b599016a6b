from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from app.sandbox.main import SandboxSettings, sandbox_server
from app.sandbox.sandbox import Sandbox
from app.sandbox.state_file import StateFileUnreadable
from tests.sandbox.desk import NOTICE, OTP, Desk, contact


@asynccontextmanager
async def started(path: Path, token: str = "") -> AsyncIterator[Desk]:
    settings = SandboxSettings(call_time=timedelta(milliseconds=200), state_file=path)
    async with sandbox_server(settings) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        desk = Desk(http)
        desk.token = token
        yield desk


async def test_calls_campaigns_and_tokens_are_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "data" / "sandbox.jsonl"
    async with started(path) as desk:
        await desk.send(contact("0901234567", "918273", ho_ten="Ấ"), contact("0901230031"))
        await desk.http.post(f"/sandbox/campaigns/{NOTICE}/stop")
        await desk.send(contact("0901234568", None), campaign=NOTICE)
        before = await desk.rows_when(lambda rows: sum(row["state"] in (40, 50) for row in rows) == 3)
    async with started(path, desk.token) as again:
        assert await again.rows() == before
        state = await again.state()
        assert not state["campaigns"][NOTICE]["running"]
        assert [entry["taken_count"] for entry in state["imports"]] == [2, 1]
        [result] = (await again.send(contact("0901234569"))).json()["results"]
        assert result["call_id"] > max(int(row["call_id"]) for row in before)
        await again.http.post(f"/sandbox/campaigns/{NOTICE}/start")
    async with started(path, desk.token) as third:
        await third.ended(campaign=NOTICE)
    assert "918273" not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_what_was_taken_before_a_kill_is_on_file_when_the_answer_leaves(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.jsonl"
    async with started(path) as desk:
        await desk.send(contact("0901234567"))
        as_killed = path.read_bytes()
    path.write_bytes(as_killed + b'{"type":"call","call_id":10')
    async with started(path, desk.token) as again:
        assert [row["callee_id"] for row in await again.rows()] == ["0901234567"]


async def test_killed_tokens_and_a_changed_secret_key_stay_so(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.jsonl"
    async with started(path) as desk:
        await desk.make_token()
        await desk.http.put("/sandbox/secret-key", json={"secret_key": "another"})
    async with started(path, desk.token) as again:
        assert (await again.export())["code"] == "401"
        assert (await again.make_token())["status"] == 0
        assert (await again.make_token("another"))["status"] == 1


async def test_a_reset_is_not_undone_by_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.jsonl"
    async with started(path) as desk:
        await desk.send(contact("0901234567"))
        await desk.http.post(f"/sandbox/campaigns/{OTP}/stop")
        await desk.http.post("/sandbox/reset")
    async with started(path, desk.token) as again:
        assert await again.rows() == []
        assert (await again.send(contact("0901234567"))).json()["status"] == 1


def test_a_file_that_is_not_ours_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.jsonl"
    path.write_text('{"type":"tokens","made":1,"dead_up_to":0}\nhello\n')
    with pytest.raises(StateFileUnreadable, match=r"sandbox\.jsonl, line 2"):
        Sandbox(SandboxSettings(state_file=path))
