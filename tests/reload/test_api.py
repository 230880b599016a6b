"""The API takes up another configuration between two requests, and never in the middle of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from litestar import Litestar
from structlog.testing import capture_logs

from app.api.authentication import Keys
from app.api.life import ApiLife
from app.config import load
from app.intake.callers import Caller as IntakeCaller
from app.intake.callers import callers_of
from app.main import create_app
from app.sandbox.serve import serving
from app.store.connection import connect_raw
from tests.api.desk import KEYS, Caller, assert_problem, config_text, otp

NEW = "sha256:" + "0" * 64
BODY = b'{"campaign": "login-otp", "phone_number": "0901 234 567", "otp_code": "004217"}'
JSON = {"content-type": "application/json"}


class Desk(Caller):
    """The API, with the file that it was started from."""

    def __init__(self, http: httpx.AsyncClient, app: Litestar, file: Path) -> None:
        super().__init__(http, app)
        self.file = file
        self.text = file.read_text()
        self.life: ApiLife = app.state.life

    async def reload(self, text: str) -> list[str]:
        """Writes the file, asks, and gives the phrases that were said, once there is a verdict."""
        self.file.write_text(text)
        with capture_logs() as said:
            self.life.reload()
            await _until(lambda: any(line["event"].startswith("configuration") for line in said))
        return [line["event"] for line in said] + [fault for line in said for fault in line.get("faults", [])]

    async def metric(self, name: str) -> float:
        text = (await self.ask("GET", "/metrics", of=None)).text
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))


async def _until(come: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not come():  # noqa: ASYNC110  it tells no other way
            await asyncio.sleep(0.01)


@pytest.fixture
async def desk(redis_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    redis = connect_raw(redis_url)
    await redis.flushall()
    await redis.aclose()
    file = tmp_path / "relay.toml"
    file.write_text(config_text(redis_url))
    loaded = load(file)
    app = create_app(loaded.config, loaded)
    async with serving(app) as url, httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as http:
        yield Desk(http, app, file)


def without(text: str, section: str) -> str:
    """The file without a section, nor its name in any list."""
    blocks = text.split("\n[")
    kept = [block for block in blocks if not block.startswith(f"{section}]")]
    name = section.partition(".")[2]
    return "\n[".join(kept).replace(f'"{name}", ', "").replace(f', "{name}"', "")


def _key_of_checkout_replaced(text: str) -> str:
    head, _, rest = text.partition('[clients.checkout]\napi_keys = ["')
    return f'{head}[clients.checkout]\napi_keys = ["{NEW}{rest[rest.index(chr(34)) :]}'


async def test_a_key_that_was_taken_out_opens_nothing_more_and_a_new_one_opens(desk: Desk) -> None:
    assert (await desk.get("/v1/campaigns")).status_code == 200
    assert await desk.reload(_key_of_checkout_replaced(desk.text)) == ["configuration taken up"]
    assert_problem(await desk.get("/v1/campaigns"), 401, "unauthorized")
    assert (await desk.get("/v1/campaigns", of="delivery")).status_code == 200
    await desk.reload(desk.text)
    assert (await desk.get("/v1/campaigns")).status_code == 200


class Noticing(Keys):
    """Tells that a request's head was read."""

    def __init__(self, callers: Iterable[IntakeCaller]) -> None:
        super().__init__(callers)
        self.looked_at = asyncio.Event()

    def caller(self, headers: Iterable[tuple[bytes, bytes]]) -> IntakeCaller:
        self.looked_at.set()
        return super().caller(headers)


async def test_a_request_under_way_is_finished_under_the_configuration_that_it_began_with(desk: Desk) -> None:
    go_on = asyncio.Event()
    keys = Noticing(callers_of(desk.life.parts.config))
    desk.life.parts = replace(desk.life.parts, keys=keys)

    async def slowly() -> AsyncIterator[bytes]:
        yield BODY[:20]
        await go_on.wait()
        yield BODY[20:]

    sending = asyncio.create_task(desk.ask("POST", "/v1/messages", content=slowly(), headers=JSON))
    await keys.looked_at.wait()
    await desk.reload(_key_of_checkout_replaced(desk.text).replace('"VN"', '"US"'))
    go_on.set()
    assert (await sending).status_code == 202
    assert_problem(await desk.post(otp()), 401, "unauthorized")


async def test_limits_and_campaigns_are_those_of_the_new_configuration(desk: Desk) -> None:
    text = desk.text.replace('rate_limit = "100000/s"', 'rate_limit = "2/10m"')
    await desk.reload(text)
    statuses = [(await desk.post(otp(phone_number=f"+8490123456{n}"))).status_code for n in range(3)]
    assert statuses == [202, 202, 429]


async def test_a_file_with_faults_changes_nothing_and_tells_each(desk: Desk) -> None:
    loaded_at = await desk.metric("relay_config_loaded_timestamp_seconds")
    broken = _key_of_checkout_replaced(desk.text).replace('kind = "voice_otp"', 'kind = "fax"')
    said = await desk.reload(broken + "\n[nothing]\n")
    assert said[0] == "configuration refused, the old stays"
    assert any("campaigns.login-otp.kind: found 'fax', expected" in fault for fault in said)
    assert any("nothing: found an unknown key" in fault for fault in said)
    assert (await desk.post(otp())).status_code == 202
    assert await desk.metric("relay_config_reload_failed") == 1
    assert await desk.metric("relay_config_loaded_timestamp_seconds") == loaded_at
    await desk.reload(desk.text)
    assert await desk.metric("relay_config_reload_failed") == 0
    assert await desk.metric("relay_config_loaded_timestamp_seconds") > loaded_at


async def test_a_campaign_in_use_cannot_be_removed_before_its_messages_are_final(desk: Desk) -> None:
    message = await desk.sent()
    less = without(desk.text, "campaigns.login-otp")
    refused, fault = await desk.reload(less)
    assert refused == "configuration refused, the old stays"
    assert "campaigns.login-otp: found nothing, expected it as it was, for it has 1 message" in fault
    assert (await desk.ask("DELETE", f"/v1/messages/{message['id']}")).status_code == 200
    assert await desk.reload(less) == ["configuration taken up"]
    assert 'campaign="login-otp"' not in _gauges((await desk.ask("GET", "/metrics", of=None)).text)
    assert [one["name"] for one in (await desk.get("/v1/campaigns")).json()["data"]] == ["order-notice"]


def _gauges(metrics: str) -> str:
    return "\n".join(
        line for line in metrics.splitlines() if line.startswith(("relay_queue", "relay_campaign"))
    )


async def test_an_encryption_key_that_redis_needs_cannot_be_dropped_and_one_in_front_of_it_seals(
    desk: Desk,
) -> None:
    fresh = '"' + "QUJD" * 10 + 'QUI="'
    key = desk.text.partition("encryption_keys = [")[2].partition("]")[0]
    refused, fault = await desk.reload(desk.text.replace(key, fresh))
    assert refused == "configuration refused, the old stays"
    assert "storage.encryption_keys" in fault
    first = await desk.sent()
    assert await desk.reload(desk.text.replace(key, f"{fresh}, {key}")) == ["configuration taken up"]
    second = await desk.sent()
    for message in (first, second):
        assert (await desk.get(f"/v1/messages/{message['id']}")).json()["phone_number"] == "+84901234567"


async def test_callers_keys_are_compared_with_those_in_force_alone(desk: Desk) -> None:
    """Keys of two configurations are never mixed: who is served holds one object from its first look to its end."""
    parts = desk.life.parts
    await desk.reload(_key_of_checkout_replaced(desk.text))
    headers = [(b"authorization", f"Bearer {KEYS['checkout']}".encode())]
    assert parts.keys.caller(headers).name == "checkout"
    assert desk.life.parts is not parts
    assert parts.config is not desk.life.parts.config
