"""The Redis user of docs/security.md: all work is done with it, and nothing else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httpx
import pytest
from redis.exceptions import NoPermissionError, ResponseError

from app.store.connection import Client, connect_raw
from tests.docs.pages import ROOT, blocks
from tests.servers import ValkeyServer, valkey_server
from tests.trouble.conftest import SetStage
from tests.trouble.stage import API_KEY
from tests.workers.rig import until

_SECURITY = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
USER = blocks(_SECURITY, "acl")[0].split()[1:]
"""Name and rules, as `ACL SETUSER` takes them."""
_LIBRARIES = frozenset(
    {
        "AUTH", "PING", "HELLO", "SELECT", "CLIENT|SETINFO", "MULTI", "EXEC", "WATCH", "UNWATCH", "DISCARD", "INFO",
        "DBSIZE",
        "SETEX", "PSETEX", "EXPIRE", "INCRBY", "ZINCRBY", "SUBSCRIBE", "UNSUBSCRIBE", "BLPOP",
    }
)  # fmt: skip
"""What redis-py and arq send by themselves, or the probes."""
_OPTIONS = frozenset(
    {"BYSCORE", "COUNT", "MATCH", "LIMIT", "REV", "WITHSCORES", "NOPERM", "OOM", "READONLY", "STREAMS"}
)


async def _says(redis: Client, *command: str) -> Any:
    return await cast("Callable[..., Awaitable[Any]]", redis.execute_command)(*command)


async def _with_user(server: ValkeyServer) -> str:
    """Makes the user, and gives the URL that logs in as it. Writes are confirmed by WAITAOF."""
    admin = connect_raw(server.url)
    await _says(admin, "ACL", "SETUSER", *USER)
    await _says(admin, "CONFIG", "SET", "appendfsync", "everysec")
    await admin.aclose()
    return server.url.replace("unix://", "unix://otp-relay:change-me@")


async def _refused(server: ValkeyServer) -> list[str]:
    """What Redis refused to the user."""
    admin = connect_raw(server.url)
    try:
        return [str(entry) for entry in await _says(admin, "ACL", "LOG")]
    finally:
        await admin.aclose()


async def test_api_and_worker_do_all_their_work_as_the_documented_user(set_stage: SetStage) -> None:
    stage = await set_stage()
    own, of_the_user = stage.server.url, await _with_user(stage.server)
    stage.file.write_text(stage.file.read_text().replace(own, of_the_user))
    api, worker = await stage.api_and_workers(())
    stage.receiver.statuses = [500] * 4
    async with httpx.AsyncClient(
        base_url=api.url, headers={"authorization": f"Bearer {API_KEY}"}, trust_env=False, timeout=20
    ) as http:
        one = {"campaign": "login-otp", "phone_number": "0901234567", "otp_code": "004217", "reference": "r"}
        notice = {"campaign": "order-notice", "phone_number": "0901234568", "expires_in": 600}
        for key in ("k", "k"):
            sent = await http.post("/v1/messages", json=one, headers={"idempotency-key": key})
            assert sent.status_code == 202, sent.text
        assert (await http.get(f"{sent.headers['location']}?wait=20")).json()["state"] == "answered"
        await until(lambda: bool(worker.said("callback dead")), "a callback is dead")
        batch = await http.post(
            "/v1/messages/batch", json={"messages": [notice]}, headers={"idempotency-key": "b"}
        )
        assert batch.json()["accepted"] == 1
        await stage.fault("stopped_campaign")
        waiting = (await http.post("/v1/messages", json={**notice, "phone_number": "0901234569"})).headers[
            "location"
        ]
        await until(lambda: bool(worker.said("campaign held")), "the campaign is held")
        assert (await http.delete(waiting)).json()["state"] == "cancelled"
        for path in ("/v1/messages?reference=r", "/v1/messages?phone_number=0901234567", "/v1/events", "/v1/campaigns",
                     "/v1/callbacks?state=dead", "/readyz", "/metrics"):  # fmt: skip
            assert (await http.get(path)).status_code == 200
        [dead] = (await http.get("/v1/callbacks?state=dead")).json()["data"]
        assert (await http.post(f"/v1/callbacks/{dead['event_id']}/replay")).status_code == 202
        since = {"since": "2026-01-01T00:00:00Z", "state": "delivered"}
        assert (await http.post("/v1/callbacks/replay", json=since)).status_code == 202
        await until(lambda: bool(worker.said("callbacks replayed")), "callbacks are replayed")
    assert await _refused(stage.server) == []


def _commands_of_the_sources() -> set[str]:
    scripts = "".join(path.read_text() for path in (ROOT / "app/store/scripts").glob("*.lua"))
    called = re.findall(r"redis\.p?call\(\s*['\"](\w+)['\"]", scripts)
    modules = "".join(path.read_text() for path in (ROOT / "app/store").glob("*.py"))
    sent = set(re.findall(r"\"([A-Z]{3,})\"", modules)) - _OPTIONS
    return {name.upper() for name in called} | (sent - {"CONFIG"}) | {"CONFIG|GET"} | _LIBRARIES


def test_the_documented_user_may_run_every_command_of_the_sources() -> None:
    allowed = {rule[1:].upper() for rule in USER if rule.startswith("+")}
    assert _commands_of_the_sources() == allowed


@pytest.mark.parametrize("command", (
    "FLUSHALL", "KEYS *", "CONFIG SET dir /tmp", "ACL LIST", "SHUTDOWN NOSAVE", "SAVE",
    "REPLICAOF 127.0.0.1 1", "SCRIPT FLUSH", "MODULE LIST", "MONITOR", "CLIENT LIST", "RENAME relay:a relay:b",
    "RESTORE relay:a 0 x", "MIGRATE 127.0.0.1 1 relay:a 0 1", "GET session:1", "SET other 1", "PUBLISH news x",
))  # fmt: skip
async def test_the_documented_user_may_do_nothing_else(server: ValkeyServer, command: str) -> None:
    redis = connect_raw(await _with_user(server))
    try:
        with pytest.raises(NoPermissionError):
            await asyncio.wait_for(_says(redis, *command.split()), 5)
        called = ", ".join(f"'{word}'" for word in command.split())
        with pytest.raises(ResponseError, match=r"ACL|not allowed"):
            await _says(redis, "EVAL", f"return redis.call({called})", "0")
    finally:
        await redis.aclose()


@pytest.fixture(scope="module")
def server() -> Any:
    with valkey_server() as server:
        yield server
