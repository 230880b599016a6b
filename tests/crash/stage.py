"""Where scenes are played: a Redis, a provider and a receiver, emptied for each scene."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import httpx

from app.config import Config, parse_config
from app.sandbox.main import SandboxSettings, sandbox_server
from app.store.lua import script, script_names
from app.store.opening import open_database
from tests.crash.processes import Nursery
from tests.crash.scene import API_KEY, Scene
from tests.servers import ValkeyServer, receiving, valkey_server
from tests.workers.rig import Receiver, Rig, relay_toml

_SECTIONS = {
    "account": "",
    "login-otp": 'reconcile_window = "400ms"\noutcome_timeout = "6s"',
    "order-notice": 'reconcile_window = "400ms"\noutcome_timeout = "6s"\non_ambiguous = "retry"',
    "checkout": 'events = ["final", "submitted"]',
}
_NO_KEEPING = httpx.Limits(max_keepalive_connections=0)


class Stage:
    """A Redis, a provider and a receiver on which one scene after another is played."""

    def __init__(self, redis: ValkeyServer, provider_url: str, receiver: Receiver, receiver_url: str) -> None:
        self.redis = redis
        self._provider_url = provider_url
        self._receiver = receiver
        self._receiver_url = receiver_url

    @contextlib.asynccontextmanager
    async def scene(
        self, nursery: Nursery, folder: Path, more: Mapping[str, str] | None = None
    ) -> AsyncIterator[Scene]:
        """A scene that begins with nothing, in a folder of its own; `more`: lines to add by section."""
        sections = {name: f"{lines}\n{(more or {}).get(name, '')}" for name, lines in _SECTIONS.items()}
        text = relay_toml(self.redis.url, self._provider_url, self._receiver_url, sections)
        text = text.replace('timeout = "2s"', 'timeout = "1s"').replace(
            "c1" * 32, sha256(API_KEY).hexdigest()
        )
        file = folder / "relay.toml"
        file.write_text(text)
        config = parse_config(text, file="relay.toml", env={})
        await _empty(config)
        self._receiver.got.clear()
        self._receiver.ids.clear()
        database = await open_database(config, wait_s=5)
        async with httpx.AsyncClient(
            base_url=self._provider_url, limits=_NO_KEEPING, verify=False
        ) as sandbox:
            await sandbox.post("/sandbox/reset")
            try:
                yield Scene(Rig(config, database, sandbox, self._receiver, file), nursery, folder)
            finally:
                await database.close()


async def _empty(config: Config) -> None:
    database = await open_database(config, wait_s=5)
    await database.read("FLUSHALL")
    for name in script_names():
        await database.read("SCRIPT", "LOAD", script(name).text)
    await database.close()


@contextlib.asynccontextmanager
async def stage(call_time_s: float = 0.3) -> AsyncIterator[Stage]:
    """A stage with servers of its own."""
    async with contextlib.AsyncExitStack() as stack:
        receiver = Receiver()
        receiver_url = await stack.enter_async_context(receiving(receiver.take))
        settings = SandboxSettings(call_time=timedelta(seconds=call_time_s))
        provider_url = await stack.enter_async_context(sandbox_server(settings))
        redis = stack.enter_context(valkey_server())
        yield Stage(redis, provider_url, receiver, receiver_url)
