"""Keeps the lease of a batch that waits, for a token or for its other half, as long as somebody waits for it.

A worker that dies keeps nothing: its batches are recovered when the lease runs out, as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from app.store.batches import LEASE_MS
from app.store.faults import StoreError

if TYPE_CHECKING:
    from app.store.batches import Batch, Batches


@asynccontextmanager
async def lease_kept(batches: Batches, batch: Batch) -> AsyncIterator[None]:
    """Renews the batch's lease while the block runs. Whether it was kept, the mark before the import tells."""
    renewing = asyncio.create_task(_renew(batches, batch), name=f"keep {batch.batch_id}")
    try:
        yield
    finally:
        while not renewing.done():  # redis-py may take the cancellation for a time-out of its own
            renewing.cancel()
            await asyncio.wait([renewing], timeout=0.1)


async def _renew(batches: Batches, batch: Batch) -> None:
    kept = True
    while kept:
        await asyncio.sleep(LEASE_MS / 3000)
        try:
            kept = await batches.renew(batch)
        except StoreError:
            continue  # it may be back before the lease is over
