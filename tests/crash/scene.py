"""One small story of a relay, told again for each crash: its parts, its messages, and what must be true at its end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
from aiohttp import web

from app.config import Config, parse_config
from app.message import MessageId
from app.sandbox.main import SandboxSettings, sandbox_server
from app.store.lua import script, script_names
from app.store.messages import MessageDetail
from app.store.opening import open_database
from tests.crash.point import Job, Point
from tests.crash.processes import Child, Nursery
from tests.servers import ValkeyServer, valkey_server
from tests.store.tidy import faults_of
from tests.workers.rig import NOTICE, OTP, Receiver, Rig, relay_toml

LEASES_MS = 900
"""What leases last in these scenes; a provider's and a callback's time-out come on top."""
_PATIENCE_S = 30.0
_LOOK_EVERY_S = 0.1
_IDLE_S = 1.5
"""How long a worker that has nothing left to do is given to come to its point."""
_SECTIONS = {
    "account": "",
    "login-otp": 'reconcile_window = "400ms"\noutcome_timeout = "6s"',
    "order-notice": 'reconcile_window = "400ms"\noutcome_timeout = "6s"\non_ambiguous = "retry"',
    "checkout": 'events = ["final", "submitted"]',
}
_NO_KEEPING = httpx.Limits(max_keepalive_connections=0)
_AMBIGUOUS = "import ambiguous"


@dataclass(frozen=True)
class Told:
    """A message of the story. `ends`: the one true state and reason; `calls`: how often its number rings.

    Why a message expired depends on what the campaign waited for just then, so there the reason is None.
    """

    message_id: MessageId
    number: str
    ends: tuple[str, str | None]
    calls: int
    scripted: bool = False
    """The provider breaks its import by the script, so that it becomes ambiguous without any crash."""


@dataclass(frozen=True)
class Played:
    """How a scene with a crash went. `settled_s`: from the crash until all was settled."""

    reached: bool
    violations: list[str]
    settled_s: float = 0.0


class Scene:
    """The parts around the processes of one story."""

    def __init__(self, rig: Rig, nursery: Nursery, folder: Path) -> None:
        self.rig = rig
        self.nursery = nursery
        self.folder = folder
        self.told: list[Told] = []
        self.in_flight: set[MessageId] = set()
        """Messages whose import was on its way when a process died: these, and no others, may become ambiguous."""
        self._started = 0

    async def start(self, at: Point | None = None, *, effects: bool = False, signal: int = 9) -> Child:
        """A worker: plain, or one that writes down its effects or gets the signal at a point."""
        self._started += 1
        file = str(self.folder / f"effects-{self._started}") if effects else ""
        log = str(self.folder / f"worker-{self._started}.log")
        return await self.nursery.start(Job("worker", str(self.rig.file), log, file, at, signal))

    async def tell(self) -> None:
        """Switches the provider's faults on, and puts the first messages in."""
        rig = self.rig
        await rig.fault("token_shape", ttl_s=3)
        await rig.fault("dead_token", on="import", campaign=OTP, times=1)
        await rig.fault("error_before", on="import", campaign=NOTICE, times=1)
        await rig.fault("reset_after", on="import", campaign=NOTICE, times=1)
        rig.receiver.statuses = [500]
        await self._put("+84901234567", ("answered", None))
        await self._put("+84901230001", ("failed", "busy"))
        await self._put("+84901230043", ("rejected", "not_accepted"), calls=0)
        await self._put("+84901230044", ("rejected", "invalid_contact"), calls=0)
        await self._put("+84901234567", ("answered", None))
        await self._put("+84901239999", ("expired", None), calls=0, ttl_s=0.001)
        await self._put("+84901234568", ("answered", None), campaign="order-notice", scripted=True)

    async def tell_more(self) -> None:
        """A message that comes when the worker is idle."""
        await self._put("+84901234569", ("answered", None))

    async def _put(
        self,
        number: str,
        ends: tuple[str, str | None],
        *,
        calls: int = 1,
        campaign: str = "login-otp",
        ttl_s: float = 60,
        scripted: bool = False,
    ) -> None:
        message_id = await self.rig.send(number, campaign, ttl_s=ttl_s)
        self.told.append(Told(message_id, number, ends, calls, scripted))

    async def play(self, at: Point, then: Point | None = None) -> Played:
        """The story with a worker that dies at the point, and one that comes then, after a second that died too."""
        await self.tell()
        first = await self.start(at)
        await _wait(first.ended, 1.0)
        await self.tell_more()
        if not await self._dies(first):
            return Played(False, [])
        if then is not None and not await self._dies(await self.start(then)):
            return Played(False, [])
        died = time.monotonic()
        last = await self.start()
        settled = await self.settled()
        took_s = time.monotonic() - died
        late = [] if settled else [f"not settled {_PATIENCE_S:.0f} s after the crash"]
        found = late + await self.violations()
        await last.kill()
        return Played(True, found, took_s)

    async def _dies(self, worker: Child) -> bool:
        """Waits for the worker's death; False if it has nothing left to do and still lives."""
        while not worker.ended.is_set() and not await self._all_over():
            await _wait(worker.ended, _LOOK_EVERY_S)
        await _wait(worker.ended, _IDLE_S)
        if not worker.ended.is_set():
            await worker.kill()
            return False
        await self.note_in_flight()
        return True

    async def note_in_flight(self) -> None:
        """Remembers whose import was under way when the process died."""
        database = self.rig.database
        for key in await database.read("KEYS", database.key("b", "*")):
            state, members = await database.read("HMGET", key, "st", "ms")
            if state == b"sending":
                self.in_flight |= {MessageId(one.decode()) for one in members.split()}

    async def settled(self) -> bool:
        """Waits until every message is final and every event delivered; False if that takes too long."""
        give_up = time.monotonic() + _PATIENCE_S
        while not await self._all_over():
            if time.monotonic() > give_up:
                return False
            await asyncio.sleep(_LOOK_EVERY_S)
        return True

    async def _all_over(self) -> bool:
        return all([_is_over(await self.rig.show(one.message_id)) for one in self.told])

    async def violations(self) -> list[str]:
        """What is not as it must be, in words."""
        found = [fault for one in self.told for fault in await self._faults_of(one)]
        rang = [call["number"] for call in (await self.rig.provider())["calls"]]
        for number in {one.number for one in self.told}:
            wanted = sum(one.calls for one in self.told if one.number == number)
            times = rang.count("0" + number.removeprefix("+84"))
            if times != wanted:
                found.append(f"the number of {number[-4:]} was called {times} times, not {wanted}")
        return found + await faults_of(self.rig.database.client)

    async def _faults_of(self, one: Told) -> list[str]:
        shown = await self.rig.show(one.message_id)
        message, name = shown.message, f"{one.number[-4:]} ({one.message_id})"
        ends = (message.state.value, None if message.state.value == "expired" else message.reason)
        ambiguous = _AMBIGUOUS in [step.event for step in shown.timeline]
        found = []
        honest = ambiguous and one.calls == 0 and ends[0] == "undetermined"
        if ends != one.ends and not honest:
            found.append(f"{name} ended {ends}, not {one.ends}: {shown.timeline}")
        if ambiguous and not one.scripted and one.message_id not in self.in_flight:
            found.append(f"{name} became ambiguous, though no import of it was on its way: {shown.timeline}")
        found += [
            f"{name}: its event {callback.type} is {callback.state}"
            for callback in shown.callbacks
            if callback.event_id not in self.rig.receiver.ids or callback.state != "delivered"
        ]
        finals = [one for one in shown.callbacks if one.type != "message.submitted"]
        if len(finals) != 1:
            found.append(f"{name} has {len(finals)} final events")
        return found


async def _wait(event: asyncio.Event, most_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), most_s)


def _is_over(shown: MessageDetail) -> bool:
    delivered = all(callback.state == "delivered" for callback in shown.callbacks)
    return shown.message.finished_at is not None and bool(shown.callbacks) and delivered


class Stage:
    """A Redis, a provider and a receiver on which one scene after another is played."""

    def __init__(self, redis: ValkeyServer, provider_url: str, receiver: Receiver, receiver_url: str) -> None:
        self._redis = redis
        self._provider_url = provider_url
        self._receiver = receiver
        self._receiver_url = receiver_url

    @contextlib.asynccontextmanager
    async def scene(self, nursery: Nursery, folder: Path) -> AsyncIterator[Scene]:
        """A scene that begins with nothing, in a folder of its own."""
        text = relay_toml(self._redis.url, self._provider_url, self._receiver_url, dict(_SECTIONS))
        text = text.replace('timeout = "2s"', 'timeout = "1s"')
        file = folder / "relay.toml"
        file.write_text(text)
        config = parse_config(text, file="relay.toml", env={})
        await _empty(config)
        self._receiver.got.clear()
        self._receiver.ids.clear()
        database = await open_database(config, wait_s=5)
        async with httpx.AsyncClient(base_url=self._provider_url, limits=_NO_KEEPING) as sandbox:
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
        application = web.Application()
        application.router.add_post("/{client}", receiver.take)
        runner = web.AppRunner(application)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        settings = SandboxSettings(call_time=timedelta(seconds=call_time_s))
        provider_url = await stack.enter_async_context(sandbox_server(settings))
        redis = stack.enter_context(valkey_server())
        yield Stage(redis, provider_url, receiver, f"http://{host}:{port}")
