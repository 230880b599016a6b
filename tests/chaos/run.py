"""One run: load with kills, then every message against what the sandbox and the receiver saw."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from app.store.connection import connect_raw
from tests.canaries.planted import ENCRYPTION_KEY, SANDBOX_SECRET, SIGNING_SECRET
from tests.canaries.watch import WATCH
from tests.chaos.fleet import Fleet
from tests.chaos.load import KEY, Callers, Sent, draw
from tests.chaos.receiver import Receiver
from tests.chaos.trouble import Trouble, draw_blows
from tests.chaos.verdict import Verdict, judge
from tests.servers import receiving, valkey_server
from tests.store.tidy import faults_of

_TIMELINES = 4
SETTLE_S = 75.0
"""How long the verdict is waited for; what is asked is in `Plan.settled_within_s`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does. The same plan has the same kills and faults; the machine's own timing is not in it."""

    seed: int
    messages: int = 2400
    rate: float = 120.0
    kills: int = 15
    apis: int = 2
    workers: int = 2
    faults: bool = True
    settled_within_s: float = 30.0

    def command(self) -> str:
        """The line that plays it again."""
        words = f"--seed {self.seed} --messages {self.messages} --rate {self.rate:g} --kills {self.kills}"
        return f"python -m tests.chaos {words}{'' if self.faults else ' --no-faults'}"


@dataclass(slots=True)
class Report:
    """What a run showed."""

    plan: Plan
    verdict: Verdict
    settled_s: float | None
    """From the last blow to the last final event; None: not all came."""
    states: Counter[str] = field(default_factory=Counter)
    tries: int = 0
    slowest_accept_s: float = 0.0
    deliveries: int = 0
    imports: int = 0
    timelines: list[str] = field(default_factory=list)
    """Of the first messages with a violation."""
    folder: Path | None = None

    @property
    def good(self) -> bool:
        """Nothing violated, and all settled in time."""
        return (
            self.verdict.count() == 0
            and self.settled_s is not None
            and self.settled_s <= self.plan.settled_within_s
        )

    def text(self) -> str:
        """For people."""
        settled = "never" if self.settled_s is None else f"{self.settled_s:.1f} s after the last kill"
        lines = [
            f"seed {self.plan.seed}: {'good' if self.good else 'VIOLATED'}; all settled {settled} "
            f"(at most {self.plan.settled_within_s:g} s)",
            f"  {self.plan.messages} messages, {self.plan.kills} kills, 1 worker frozen; {self.tries} POSTs, "
            f"the slowest taken after {self.slowest_accept_s:.1f} s; {self.imports} imports, "
            f"{self.deliveries} callbacks",
            f"  {dict(sorted(self.states.items()))}",
            *self.verdict.lines(),
            *self.timelines,
        ]
        if not self.good:
            lines += [f"  again: {self.plan.command()}", f"  logs:  {self.folder}"]
        return "\n".join(lines)


def _configuration(redis_url: str, sandbox_url: str, receiver_url: str) -> str:
    campaigns = "\n".join(
        f'[campaigns.{name}]\naccount = "main"\ncampaign_id = "sandbox-{name}"\nkind = "{kind}"\n'
        'per_number_limit = "1000/1s"\nreconcile_window = "4s"\noutcome_timeout = "15s"\nredial_window = "4s"\n'
        "supersede_queued = false\n"
        for name, kind in (("login-otp", "voice_otp"), ("order-notice", "notification"))
    )
    return f"""
[worker]
port = 0
[redis]
url = "{redis_url}"
[provider.accounts.main]
base_url = "{sandbox_url}"
secret_key = "{SANDBOX_SECRET}"
timeout = "2s"
{campaigns}
[clients.chaos]
api_keys = ["sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"]
campaigns = ["login-otp", "order-notice"]
callback_url = "{receiver_url}/outcomes"
callback_allow = ["http://127.0.0.1:*"]
signing_secrets = ["{SIGNING_SECRET}"]
rate_limit = "100000/s"
[callbacks]
retry_schedule = ["300ms", "500ms", "1s", "1s", "2s", "2s", "2s", "2s"]
timeout = "2s"
[storage]
encryption_keys = ["{ENCRYPTION_KEY}"]
"""


async def run(plan: Plan, say: Callable[[str], None]) -> Report:
    """Plays the plan; `say` is told what happens."""
    rng = random.Random(plan.seed)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    receiver = Receiver(random.Random(rng.random()))
    async with contextlib.AsyncExitStack() as stack:
        redis = stack.enter_context(valkey_server())
        receiver_url = await stack.enter_async_context(receiving(receiver.take, "/outcomes"))
        fleet = Fleet(folder, redis, apis=plan.apis, workers=plan.workers)
        fleet.config_file.write_text(_configuration(redis.url, fleet.sandbox_url, receiver_url))
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        )
        await stack.enter_async_context(fleet.running())
        trouble = Trouble(fleet, session, random.Random(rng.random()))
        messages = draw(plan.messages, random.Random(rng.random()))
        over_s = plan.messages / plan.rate
        blows = draw_blows(random.Random(rng.random()), fleet, plan.kills, over_s)
        if plan.faults:
            await trouble.lasting()
        callers = Callers(fleet.api_urls, session, random.Random(rng.random()))
        async with asyncio.TaskGroup() as group:
            group.create_task(callers.send_all(messages, plan.rate))
            group.create_task(trouble.strike(blows, say))
            if plan.faults:
                group.create_task(trouble.annoy(over_s))
        await trouble.relent()
        settled = await _all_told(messages, receiver, say)
        report = await _report(plan, messages, receiver, fleet, session)
        report.settled_s = max(0.0, settled - trouble.last_blow) if settled is not None else None
        report.folder = folder
        for message_id in report.verdict.suspects[:_TIMELINES]:
            report.timelines += await _timeline(message_id, fleet, session)
        client = connect_raw(redis.url)
        try:
            report.verdict.untidy += await faults_of(client)
        finally:
            await client.aclose()
        WATCH.look_in(folder)
        return report


async def _timeline(message_id: str, fleet: Fleet, session: aiohttp.ClientSession) -> list[str]:
    headers = {"authorization": f"Bearer {KEY}"}
    async with session.get(f"{fleet.api_urls[0]}/v1/messages/{message_id}", headers=headers) as answer:
        shown = await answer.json()
    steps = [f"    {step['at']} {step['event']} {step['detail']}" for step in shown.get("timeline", [])]
    return [f"  {message_id} of {shown.get('campaign')}:", *steps]


async def _all_told(messages: list[Sent], receiver: Receiver, say: Callable[[str], None]) -> float | None:
    """When the last message had its final event, by the monotonic clock; None if some never had."""
    give_up = time.monotonic() + SETTLE_S
    wanted = {message.message_id for message in messages if message.message_id is not None}
    while missing := wanted - receiver.finals().keys():
        say(f"         {len(missing)} messages without their final event")
        left = give_up - time.monotonic()
        if left <= 0:
            return None
        receiver.came.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(receiver.came.wait(), min(left, 2.0))
        await asyncio.sleep(0.5)
    await asyncio.sleep(3.0)  # a second event of a message, were there one, would come now
    return max(told[0].at_s for told in receiver.finals().values())


async def _report(
    plan: Plan, messages: list[Sent], receiver: Receiver, fleet: Fleet, session: aiohttp.ClientSession
) -> Report:
    async with session.get(f"{fleet.sandbox_url}/sandbox/state") as answer:
        seen: dict[str, Any] = await answer.json()
    finals = receiver.finals()
    verdict = judge(messages, seen["calls"], finals)
    verdict.told_twice += [f"{one}: came again with another body" for one in receiver.changed]
    return Report(
        plan=plan,
        verdict=verdict,
        settled_s=None,
        states=Counter(told[-1].message["state"] for told in finals.values()),
        tries=sum(message.tries for message in messages),
        slowest_accept_s=max(message.took_s for message in messages),
        deliveries=receiver.deliveries,
        imports=len(seen["imports"]),
    )
