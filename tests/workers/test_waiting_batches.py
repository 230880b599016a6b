"""A batch that waits, for a token or for its other half, longer than a lease: it keeps its lease and goes out once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from app.message import BatchId, MessageId
from app.provider.client import ProviderClient
from app.store.batches import Batch, Batches
from app.store.faults import StoreUnavailableError
from app.store.tokens import Tokens
from app.telemetry.metrics import Metrics
from tests.workers.conftest import MakeRig
from tests.workers.rig import Rig
from workers.carry import Carrier
from workers.crew import Crew
from workers.lease_kept import lease_kept
from workers.tokens import TokenKeeper

if TYPE_CHECKING:
    from app.config import CampaignConfig

LEASE_MS = 900


@pytest.fixture
async def rig(make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A provider and a Redis without a worker, and leases far below the provider's timeout of 2 s."""
    for module in ("app.store.batches", "workers.lease_kept"):
        monkeypatch.setattr(f"{module}.LEASE_MS", LEASE_MS)
    return await make_rig(worker=False)


async def carry_all(rig: Rig) -> None:
    """Leases what is queued as one batch, and carries it in this process."""
    campaign, account = rig.config.campaigns["login-otp"], rig.config.accounts["main"]
    client, batches, crew, metrics = ProviderClient(account), Batches(rig.database), Crew(), Metrics()
    keeper = TokenKeeper(
        "main", client, Tokens(rig.database), owner="me", timeout_s=2, metrics=metrics, crew=crew
    )
    batch = None
    while not isinstance(batch, Batch):
        batch = await batches.lease(campaign, account)
    await Carrier(account, client, keeper, batches, metrics).carry(batch)
    await client.aclose()


async def _events(rig: Rig, message_id: MessageId) -> list[str]:
    return [step.event for step in (await rig.show(message_id)).timeline]


async def test_a_batch_outlives_the_making_of_its_token(rig: Rig) -> None:
    await rig.fault("slow", on="token", delay_ms=1500)
    sent = await rig.send("+84901234567")
    await carry_all(rig)
    assert await _events(rig, sent) == ["accepted", "submitted"]


async def test_the_second_half_outlives_the_slow_way_of_the_first(rig: Rig) -> None:
    await rig.fault("slow", on="import", delay_ms=500)
    bad, *good = [await rig.send(number) for number in ("+84901230044", *_numbers(3))]
    await carry_all(rig)
    assert await rig.state_of(bad) == ("rejected", "invalid_contact")
    assert [await _events(rig, one) for one in good] == [["accepted", "submitted"]] * 3
    assert [one["contacts"] for one in (await rig.provider())["imports"]] == [4, 2, 1, 1, 2]


class _DeafBatches:
    """Takes a cancellation for an outage, as the library does now and then."""

    def __init__(self) -> None:
        self.asked = 0

    async def renew(self, _: Batch) -> bool:
        self.asked += 1
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if self.asked < 3:
                raise StoreUnavailableError("redis cannot be reached") from None
            raise
        return True


async def test_whoever_waited_goes_on_though_a_renewal_does_not_hear_that_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.lease_kept.LEASE_MS", 30)
    batches = _DeafBatches()
    batch = Batch(BatchId("batch_1"), cast("CampaignConfig", None), (), probe=False)
    async with asyncio.timeout(5), lease_kept(cast("Batches", batches), batch):
        await asyncio.sleep(0.05)
    assert batches.asked >= 1


def _numbers(count: int) -> list[str]:
    return [f"+8490123456{n}" for n in range(count)]
