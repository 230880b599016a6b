"""A rig with a campaign for each case, so that one worker and one sandbox play many cases at once.

A fault of the sandbox can be meant for one campaign; the numbers of a case are its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx

from app.config import parse_config
from app.message import MessageId
from app.sandbox.main import CampaignSeed, SandboxSettings, sandbox_server
from app.sandbox.phone_number import read_national
from app.store.messages import MessageDetail
from app.store.opening import open_database
from tests.servers import receiving
from tests.workers.rig import NOTICE, OTP, PATIENCE_S, Receiver, Rig, relay_toml


@asynccontextmanager
async def many_campaigns(
    redis_url: str,
    folder: Path,
    campaigns: Mapping[str, str],
    *,
    call_time_s: float = 0.4,
    timeout_s: int = 2,
) -> AsyncIterator[Rig]:
    """`campaigns`: each one's lines of the configuration; `timeout_s`: the account's. No worker runs yet."""
    async with AsyncExitStack() as stack:
        receiver = Receiver()
        receiver_url = await stack.enter_async_context(receiving(receiver.take))
        seeds = [CampaignSeed(campaign_id=name, name=name, kind="voice_otp") for name in campaigns]
        seeds += [CampaignSeed(campaign_id=name, name=name, kind="voice_otp") for name in (OTP, NOTICE)]
        settings = SandboxSettings(call_time=timedelta(seconds=call_time_s), campaigns=tuple(seeds))
        url = await stack.enter_async_context(sandbox_server(settings))
        text = relay_toml(redis_url, url, receiver_url)
        text = text.replace('"sandbox-secret"\ntimeout = "2s"', f'"sandbox-secret"\ntimeout = "{timeout_s}s"')
        names = ", ".join(f'"{name}"' for name in ("login-otp", "order-notice", *campaigns))
        text = text.replace('campaigns = ["login-otp", "order-notice"]', f"campaigns = [{names}]")
        for name, lines in campaigns.items():
            text += f'[campaigns.{name}]\naccount = "main"\ncampaign_id = "{name}"\nkind = "voice_otp"\n'
            text += f'linger = "5ms"\n{lines}\n'
        file = folder / "relay.toml"
        file.write_text(text)
        config = parse_config(text, file="relay.toml", env={})
        database = await open_database(config, wait_s=5)
        await database.read("FLUSHALL")
        await database.close()
        database = await open_database(config, wait_s=5)
        stack.push_async_callback(database.close)
        sandbox = await stack.enter_async_context(httpx.AsyncClient(base_url=url))
        rig = Rig(config, database, sandbox, receiver, file)
        stack.push_async_callback(rig.stop)
        yield rig


def numbers_of(case: int, count: int = 4) -> list[str]:
    """Numbers of one case and no other; all are answered."""
    return [f"+8490{case:03d}{5000 + n}" for n in range(count)]


async def finals(rig: Rig, sent: Mapping[str, list[MessageId]]) -> dict[str, list[MessageDetail]]:
    """Each case's messages once they are final."""
    ids = [one for case in sent.values() for one in case]
    found = dict(
        zip(ids, await asyncio.gather(*(rig.final(one, patience_s=PATIENCE_S) for one in ids)), strict=True)
    )
    return {case: [found[one] for one in mine] for case, mine in sent.items()}


def states(messages: list[MessageDetail]) -> set[str]:
    """How they ended, each with its reason."""
    return {
        " ".join(part for part in (one.message.state.value, one.message.reason) if part) for one in messages
    }


def steps(message: MessageDetail) -> list[str]:
    """The timeline's events."""
    return [step.event for step in message.timeline]


async def times_called(rig: Rig) -> Counter[str]:
    """How often each number was called for us, by the sandbox's own record; redials are part of their call."""
    placed = {
        (call["campaign"], call["number"], call["placed_at_ms"])
        for call in (await rig.provider())["calls"]
        if not call["foreign"]
    }
    return Counter(_e164(number) for _, number, _ in placed)


def _e164(number: str) -> str:
    return "+84" + str(read_national(number) or number).removeprefix("0")
