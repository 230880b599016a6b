"""One small story of a relay, told again for each crash: its parts, its messages, and what must be true at its end."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from pathlib import Path

from app.message import MessageId
from app.store.messages import MessageDetail
from tests.canaries.planted import api_key
from tests.crash.point import Job, Point
from tests.crash.processes import Child, Nursery
from tests.store.tidy import faults_of
from tests.workers.rig import NOTICE, OTP, Rig, until

LEASES_MS = 2_000
"""What leases last in these scenes; a provider's and a callback's time-out come on top."""
PATIENCE_S = 30.0
_LOOK_EVERY_S = 0.1
API_KEY = api_key("checkout").encode()
_AMBIGUOUS = "import ambiguous"
_TOO_SLOW = "no answer"
"""Why an import is ambiguous that outlasted its second: on a machine that is too busy that is no crash's doing."""


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

    async def start_api(self, at: Point | None = None, *, effects: bool = False) -> tuple[Child, str | None]:
        """An API that takes requests, and its URL; None if it died while it started."""
        self._started += 1
        file = str(self.folder / f"effects-{self._started}") if effects else ""
        log = self.folder / f"api-{self._started}.log"
        child = await self.nursery.start(Job("api", str(self.rig.file), str(log), file, at))

        def url() -> re.Match[str] | None:
            return re.search(r"http://127\.0\.0\.1:\d+", log.read_text()) if log.exists() else None

        await until(lambda: child.ended.is_set() or url() is not None, "the api is ready")
        found = url()
        return child, None if found is None else found[0]

    async def tell(self) -> None:
        """Switches the provider's faults on, and puts the first messages in."""
        rig = self.rig
        await rig.fault("token_shape", ttl_s=3)
        await rig.fault("slow", on="token", delay_ms=LEASES_MS // 3 + 50, times=1)
        await rig.fault("garbage_body", on="token", times=1)
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

    async def note_in_flight(self) -> None:
        """Remembers whose import was under way when the process died."""
        database = self.rig.database
        for key in await database.read("KEYS", database.key("b", "*")):
            state, members = await database.read("HMGET", key, "st", "ms")
            if state == b"sending":
                self.in_flight |= {MessageId(one.decode()) for one in members.split()}

    async def settled(self) -> bool:
        """Waits until every message is final and every event delivered; False if that takes too long."""
        give_up = time.monotonic() + PATIENCE_S
        while not await self.all_over():
            if time.monotonic() > give_up:
                return False
            await asyncio.sleep(_LOOK_EVERY_S)
        return True

    async def all_over(self) -> bool:
        """Whether every message is final and every event delivered."""
        for one in self.told:
            if not _is_over(await self.rig.show(one.message_id)):
                return False
        return True

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

    async def all_that_counts(self) -> dict[str, object]:
        """Messages, events, batches, and what the provider was sent: what a worker that is too late may not touch."""
        database = self.rig.database
        counts: dict[str, object] = {"imports": (await self.rig.provider())["imports"]}
        for kind in ("m", "e", "b"):
            for key in await database.read("KEYS", database.key(kind, "*")):
                counts[key.decode()] = await database.read("HGETALL", key)
        return counts

    async def _faults_of(self, one: Told) -> list[str]:
        shown = await self.rig.show(one.message_id)
        message, name = shown.message, f"{one.number[-4:]} ({one.message_id})"
        ends = (message.state.value, None if message.state.value == "expired" else message.reason)
        broken = [step.detail for step in shown.timeline if step.event == _AMBIGUOUS]
        found = []
        honest = broken and one.calls == 0 and ends[0] == "undetermined"
        if ends != one.ends and not honest:
            found.append(f"{name} ended {ends}, not {one.ends}: {shown.timeline}")
        by_crash = [why for why in broken if not why.startswith(_TOO_SLOW)]
        if by_crash and not one.scripted and one.message_id not in self.in_flight:
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


def _is_over(shown: MessageDetail) -> bool:
    delivered = all(callback.state == "delivered" for callback in shown.callbacks)
    return shown.message.finished_at is not None and bool(shown.callbacks) and delivered
