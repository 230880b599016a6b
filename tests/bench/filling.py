"""Many messages through the store's own faces and scripts, without HTTP: accepted, imported, answered, delivered.

Owns the message that the benchmarks of the store are about: a reference of ten characters, an idempotency key of its
own, no metadata, the client's own callback URL, a number of its own. Never writes to Redis but by the scripts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from app.config import Rate
from app.message import Call, MessageId
from app.secret import Secret
from app.store.batches import Batch
from app.store.messages import Accepted, Draft, new_message_id
from app.store.records import Body
from tests.store.desk import ACCOUNT, CHECKOUT, LOGIN, Desk

URL, DESTINATION = "https://checkout.internal/otp-outcomes", "https://checkout.internal:443"
CAMPAIGN = replace(
    LOGIN, batch_size=200, max_queued=100_000_000, per_number_limit=Rate(5, timedelta(minutes=10))
)
CLIENT = replace(CHECKOUT, callback_url=URL, rate_limit=Rate(1_000_000, timedelta(seconds=1)))
CALLED_AT = "2026-11-24T10:00:01+07:00"
_AT_ONCE = 1_000
"""As many wait for the store together; it joins them into its own groups."""
_CLAIM = 200


def draft_of(n: int, *, ttl_ms: int = 3_600_000) -> Draft:
    """The message of that number."""
    return Draft(
        client=CLIENT,
        campaign=CAMPAIGN,
        body=Body(f"+849{n:08d}", f"login-{n % 10_000:04d}", {}, URL, {}),
        otp_code=Secret.of(f"{1 + n % 999_999:06d}"),
        ttl_ms=ttl_ms,
        expires_at_ms=None,
        destination=DESTINATION,
        traceparent=None,
        idempotency_key=f"bench-{n}",
        canonical_body=b"message %d" % n,
    )


async def accept(desk: Desk, draft: Draft) -> MessageId:
    """Takes it in."""
    answer = await desk.messages.accept(draft, new_message_id())
    if not isinstance(answer, Accepted):
        raise TypeError(f"not accepted: {answer}")
    return answer.message.id


async def accept_many(desk: Desk, first: int, count: int, *, ttl_ms: int = 3_600_000) -> None:
    """Takes in so many, from that number on."""
    for start in range(first, first + count, _AT_ONCE):
        end = min(start + _AT_ONCE, first + count)
        await asyncio.gather(*(accept(desk, draft_of(n, ttl_ms=ttl_ms)) for n in range(start, end)))


async def lease(desk: Desk) -> Batch:
    """The next batch; `LookupError` where there is none."""
    batch = await desk.batches.lease(CAMPAIGN, ACCOUNT)
    if not isinstance(batch, Batch):
        raise LookupError(f"no batch: {batch}")
    return batch


async def answer_many(desk: Desk, count: int) -> None:
    """So many of the queued are imported and taken, answered, and their events delivered."""
    calls = iter(range(1, count + 1))
    done = 0
    while done < count:
        batch = await lease(desk)
        await desk.batches.mark_sending(batch, lease_ms=15_000)
        taken = {member.message_id: str(next(calls)) for member in batch.members}
        await desk.batches.settle(batch, "missing", taken=taken)
        for row in _rows(batch, taken):
            await row_of(desk, *row)
        await _deliver(desk)
        done += len(batch.members)


def _rows(batch: Batch, taken: dict[MessageId, str]) -> Iterator[tuple[str, str]]:
    for member in batch.members:
        yield member.phone_number, taken[member.message_id]


async def row_of(desk: Desk, number: str, call_id: str) -> None:
    """The row of an export in which the call was answered."""
    call = Call(
        call_id=call_id,
        caller_id="02471001234",
        called_at=CALLED_AT,
        duration=8,
        key_press="1 (29)",
        keys=["1"],
        note="NORMAL CLEARING",
        state=40,
    )
    found = await desk.outcomes.give_row(
        "main", number, call, "", called_at_ms=None, tolerance_ms=0, redial_ms=0
    )
    if found.fate != "settled":
        raise LookupError(f"the row settled nothing: {found}")


async def _deliver(desk: Desk) -> None:
    while due := (await desk.events.claim(most=_CLAIM, slots=_CLAIM, lease_ms=60_000, fence="bench"))[1]:
        for event in due:
            await desk.events.settle(event, "delivered", status=200, error=None, retry_in_ms=0)
