"""The real parts around one worker process: a Redis, the sandbox, a callback receiver, and messages put in directly."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from standardwebhooks import Webhook

from app.config import Config
from app.message import MessageId
from app.origin import parse_callback_url
from app.secret import Secret
from app.store.database import Database
from app.store.messages import Accepted, Draft, MessageDetail, Messages, new_message_id
from app.store.records import Body
from tests.canaries.planted import CODE, ENCRYPTION_KEY, SANDBOX_SECRET
from tests.canaries.planted import SIGNING_SECRET as SIGNING_SECRET
from tests.canaries.search import Place
from tests.canaries.watch import WATCH

Json = dict[str, Any]

OTP, NOTICE = "sandbox-login-otp", "sandbox-order-notice"
PATIENCE_S = 45.0
"""An outcome may come half a minute after the call, where nothing is known yet of how long calls take."""
STARTING_S = 40.0
KEEP_MS = 100 * 3600 * 1000
QUICK = 'reconcile_window = "1s"'
CALLBACKS = 'retry_schedule = ["200ms", "200ms", "200ms"]\ntimeout = "2s"'


def relay_toml(redis_url: str, provider_url: str, receiver_url: str, more: Json | None = None) -> str:
    """A configuration of two campaigns and two clients; `more` holds lines to add by section."""
    extra = more or {}
    campaigns = "\n".join(
        f'[campaigns.{name}]\naccount = "main"\ncampaign_id = "{provider_id}"\nkind = "{kind}"\n'
        f'linger = "5ms"\n{extra.get(name, QUICK)}'
        for name, provider_id, kind in (
            ("login-otp", OTP, "voice_otp"),
            ("order-notice", NOTICE, "notification"),
        )
    )
    clients = "\n".join(
        f'[clients.{name}]\napi_keys = ["sha256:{digest * 32}"]\ncampaigns = ["login-otp", "order-notice"]\n'
        f'callback_url = "{receiver_url}/{name}"\ncallback_allow = ["http://127.0.0.1:*"]\n'
        f'signing_secrets = ["{SIGNING_SECRET}"]\nrate_limit = "100000/s"\n{extra.get(name, "")}'
        for name, digest in (("checkout", "c1"), ("delivery", "d2"))
    )
    return f"""
[worker]
port = 0
[redis]
url = "{redis_url}"
[provider.accounts.main]
base_url = "{provider_url}"
secret_key = "{SANDBOX_SECRET}"
timeout = "2s"
{extra.get("account", "")}
{campaigns}
{clients}
[callbacks]
{extra.get("callbacks", CALLBACKS)}
[storage]
encryption_keys = ["{ENCRYPTION_KEY}"]
"""


class Receiver:
    """A callback receiver that verifies what it gets with the public library."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Json]] = []
        self.ids: list[str] = []
        self.statuses: list[int] = []
        """What to answer to the next callbacks; 204 when it is used up."""
        self._came = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        WATCH.look(body, Place.ANSWER, "callback")
        Webhook(SIGNING_SECRET).verify(body, dict(request.headers))
        self.got.append((request.path.strip("/"), json.loads(body)))
        self.ids.append(request.headers["webhook-id"])
        self._came.set()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)

    async def wait_for(self, count: int, patience_s: float = PATIENCE_S) -> list[tuple[str, Json]]:
        async with asyncio.timeout(patience_s):
            while len(self.got) < count:
                self._came.clear()
                await self._came.wait()
        return self.got


class Rig:
    """What a test holds: put messages in, switch faults, look at what came of it."""

    def __init__(
        self, config: Config, database: Database, sandbox: httpx.AsyncClient, receiver: Receiver, file: Path
    ) -> None:
        self.config = config
        self.database = database
        self.sandbox = sandbox
        self.receiver = receiver
        self.file = file
        self.messages = Messages(database, keep_ms=KEEP_MS)
        self.workers: list[asyncio.subprocess.Process] = []
        self._started = itertools.count()

    async def start_worker(self, *command: str) -> asyncio.subprocess.Process:
        """A worker process that is ready; by default `otp-relay worker`."""
        argv = command or (
            str(Path(sys.executable).with_name("otp-relay")),
            "worker",
            "--config",
            str(self.file),
        )
        log = self.file.with_name(f"worker-{next(self._started)}.log")
        with log.open("wb") as stderr:
            worker = await asyncio.create_subprocess_exec(
                *argv, stderr=stderr, stdout=stderr, env={**os.environ, "RELAY_CONFIG": str(self.file)}
            )
        self.workers.append(worker)
        await until(lambda: "worker ready" in log.read_text(), "the worker is ready", STARTING_S)
        return worker

    async def stop(self) -> None:
        for worker in self.workers:
            if worker.returncode is None:
                worker.send_signal(signal.SIGKILL)
                await worker.wait()

    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted(self.file.parent.glob("worker-*.log")))

    async def send(
        self,
        number: str,
        campaign: str = "login-otp",
        client: str = "checkout",
        *,
        ttl_s: float | None = None,
        code: str = CODE,
        **variables: str,
    ) -> MessageId:
        settings, to = self.config.campaigns[campaign], self.config.clients[client]
        url = to.callback_url or ""
        draft = Draft(
            client=to,
            campaign=settings,
            body=Body(number, None, {}, url, variables),
            otp_code=Secret.of(code) if settings.kind == "voice_otp" else None,
            ttl_ms=None if ttl_s is None else round(ttl_s * 1000),
            expires_at_ms=None,
            destination=str(parse_callback_url(url).origin),
            traceparent=None,
            idempotency_key=None,
            canonical_body=b"",
        )
        accepted = await self.messages.accept(draft, new_message_id())
        assert isinstance(accepted, Accepted), accepted
        return accepted.message.id

    async def show(self, message_id: MessageId) -> MessageDetail:
        shown = await self.messages.show(message_id, None)
        assert shown is not None
        return shown

    async def state_of(self, message_id: MessageId) -> tuple[str, str | None]:
        message = (await self.show(message_id)).message
        return message.state.value, message.reason

    async def final(self, message_id: MessageId, patience_s: float = PATIENCE_S) -> MessageDetail:
        """The message once it is in a final state."""
        give_up = time.monotonic() + patience_s
        while True:
            shown = await self.show(message_id)
            if shown.message.finished_at is not None:
                return shown
            assert time.monotonic() < give_up, shown
            await asyncio.sleep(0.05)

    async def fault(self, name: str, **params: object) -> None:
        answer = await self.sandbox.put(f"/sandbox/faults/{name}", json=params)
        assert answer.status_code == 200, answer.text

    async def mend(self, name: str) -> None:
        await self.sandbox.delete(f"/sandbox/faults/{name}")

    async def provider(self) -> Json:
        state: Json = (await self.sandbox.get("/sandbox/state")).json()
        return state

    async def calls_to(self, number: str) -> list[Json]:
        national = "0" + number.removeprefix("+84")
        return [call for call in (await self.provider())["calls"] if call["number"] in (number, national)]


def said(rig: Rig, phrase: str, **fields: object) -> list[Json]:
    """Lines of the workers' logs with that phrase and these fields, oldest first."""
    lines = [json.loads(line) for line in rig.logs().splitlines() if line.endswith("}")]
    return [
        line
        for line in sorted(lines, key=lambda line: line["timestamp"])
        if line["event"] == phrase and all(line.get(name) == value for name, value in fields.items())
    ]


async def until(come: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Waits for a condition that no event tells of."""
    give_up = time.monotonic() + patience_s
    while not come():
        assert time.monotonic() < give_up, f"in vain: {what}"
        await asyncio.sleep(0.02)
