"""A provider that is stopped, away, or refuses tokens: nothing hammers, and all that is due goes when it is back."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from app.message import MessageId
from tests.workers.conftest import MakeRig
from tests.workers.gateway import gateway
from tests.workers.rig import Rig, said, until

OUTAGE_S = float(os.environ.get("OUTAGE_S", "8"))
"""`OUTAGE_S=600` plays an outage of ten minutes."""


def number(n: int) -> str:
    """One that is answered; they sort as `n` does."""
    return f"+8490{n:04d}567"


async def submitted(rig: Rig, ids: list[MessageId], patience_s: float) -> float:
    """How long it took until all of them were with the provider, in seconds."""
    asked = time.monotonic()
    left = list(ids)
    while left:
        states = await rig.database.read_many([("HGET", rig.database.key("m", one), "s") for one in left])
        waiting = (b"queued", b"submitting")
        left = [one for one, state in zip(left, states, strict=True) if state in waiting]
        assert time.monotonic() - asked < patience_s, f"{len(left)} wait"
        await asyncio.sleep(0.02)
    return time.monotonic() - asked


async def numbers_called(rig: Rig) -> list[str]:
    return ["+84" + call["number"].removeprefix("0") for call in (await rig.provider())["calls"]]


async def test_a_stopped_campaign_sees_few_imports_and_its_queue_goes_out_soon_after_it_runs(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(worker=False, login_otp='batch_size = 10\nreconcile_window = "1s"')
    await rig.sandbox.post("/sandbox/campaigns/sandbox-login-otp/stop")
    await asyncio.gather(rig.start_worker(), rig.start_worker())
    stopped = time.monotonic()
    sent = [await rig.send(f"+849012345{n:02d}") for n in range(40)]
    short = await rig.send("+84901234599", ttl_s=5)
    await asyncio.sleep(8 - (time.monotonic() - stopped))
    imports = (await rig.provider())["imports"]
    assert (await rig.final(short)).message.reason == "campaign_stopped"
    await rig.sandbox.post("/sandbox/campaigns/sandbox-login-otp/start")
    took_s = await submitted(rig, sent, 10)
    print(
        f"{len(imports)} imports in 8 s of a stopped campaign; its queue went out {took_s:.1f} s after the start"
    )
    assert len(imports) <= 20
    assert took_s < 5
    assert sorted(await numbers_called(rig)) == sorted(f"+849012345{n:02d}" for n in range(40))


@pytest.mark.timeout(OUTAGE_S + 60)
async def test_an_outage_is_probed_with_growing_pauses_and_then_all_goes_oldest_first(
    make_rig: MakeRig,
) -> None:
    elsewhere = """
[provider.accounts.nowhere]
base_url = "http://provider.invalid"
secret_key = "sandbox-secret"
timeout = "2s"
[campaigns.lost]
account = "nowhere"
campaign_id = "lost"
kind = "voice_otp"
"""
    one_by_one = 'batch_size = 25\nconcurrency = 1\nreconcile_window = "1s"'
    rig = await make_rig(worker=False, login_otp=one_by_one, account=elsewhere)
    provider = rig.sandbox.base_url
    async with gateway(provider.host, provider.port or 0) as way:
        text = rig.file.read_text().replace(str(provider).rstrip("/"), f"http://127.0.0.1:{way.port}")
        rig.file.write_text(text)
        await asyncio.gather(rig.start_worker(), rig.start_worker())
        warm = await rig.send("+84901999999")
        assert (await rig.final(warm)).message.state == "answered"
        await way.close()
        began, before = time.monotonic(), way.connections
        unresolved = await rig.send("+84901888888", "lost", ttl_s=OUTAGE_S / 2)
        sent: list[MessageId] = []
        short: list[MessageId] = []
        for n in range(300):
            queue, ttl_s = (short, OUTAGE_S / 3) if n % 10 == 9 else (sent, OUTAGE_S + 120)
            queue.append(await rig.send(number(n), ttl_s=ttl_s))
        await asyncio.sleep(OUTAGE_S - (time.monotonic() - began))
        for gone in (*short, unresolved):
            shown = (await rig.show(gone)).message
            assert (shown.state, shown.reason) == ("expired", "provider_unavailable")
        probes = said(rig, "campaign held", campaign="login-otp")
        pauses = [line["probe_in_s"] for line in probes]
        await way.open()
        took_s = await submitted(rig, sent, 20)
        print(
            f"{len(probes)} probes in {OUTAGE_S:.0f} s, pauses {pauses[0]} to {max(pauses)} s; 270 messages were out "
            f"{took_s:.1f} s after its end, over {way.connections - before} connections"
        )
    assert len(probes) <= 12 + OUTAGE_S / 4
    assert {line["contacts"] for line in probes[1:]} == {1}
    assert max(pauses) <= 5.5
    assert took_s < 5.5 + 5
    expected = [number(n) for n in range(300) if n % 10 != 9]
    imports = [one["numbers"] for one in (await rig.provider())["imports"][1:]]
    order = ["+84" + one.removeprefix("0") for numbers in imports for one in sorted(numbers)]
    assert order == expected
    assert len(said(rig, "campaign held", campaign="lost")) <= 12 + OUTAGE_S / 4


async def test_one_worker_of_many_asks_for_a_token_and_a_refused_secret_key_is_asked_about_ever_less(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(worker=False, login_otp='batch_size = 5\nreconcile_window = "1s"')
    await rig.fault("secret_key_rejected")
    await asyncio.gather(*(rig.start_worker() for _ in range(4)))
    sent = [await rig.send(f"+849012345{n:02d}", ("login-otp", "order-notice")[n % 2]) for n in range(40)]
    refused = "secret key refused: mend [provider.accounts] secret_key"
    for refusals in (1, 2):
        await until(lambda n=refusals: len(said(rig, refused)) >= n, "the key is refused")  # type: ignore[misc]
        await asyncio.sleep(1.5)
        assert (await rig.provider())["counts"]["token_requests"] == refusals
        if refusals == 2:
            await rig.mend("secret_key_rejected")
        await rig.database.read("HSET", rig.database.key("locked", "main"), "until", 1)
    assert [(line["level"], line["next_try_s"]) for line in said(rig, refused)] == [
        ("error", 5),
        ("error", 10),
    ]
    await submitted(rig, sent, 10)
    assert (await rig.provider())["counts"]["token_requests"] == 3

    more = [await rig.send(f"+849022345{n:02d}") for n in range(50)]
    await rig.sandbox.post("/sandbox/tokens/kill")
    more += [await rig.send(f"+849032345{n:02d}") for n in range(50)]
    await submitted(rig, more, 10)
    counts = (await rig.provider())["counts"]
    assert (counts["token_requests"], counts["tokens_made"]) == (4, 2)
    called = await numbers_called(rig)
    assert len(called) == len(set(called)) == 140
