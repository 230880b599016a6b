"""What a test of the store holds: its faces over one Redis, and builders that show only what matters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.config import AccountConfig, CampaignConfig, ClientConfig, Rate
from app.message import BatchId, Call, MessageId
from app.sealing import Index, Keyring
from app.secret import Secret
from app.store.actions import Act, Actions
from app.store.batches import Batch, Batches, Nothing, source_of
from app.store.campaigns import Campaigns
from app.store.commit import Committer
from app.store.connection import Client, connect_raw
from app.store.database import PREFIX, Database
from app.store.events import DueEvent, Events
from app.store.messages import Accepted, Draft, Messages, new_message_id
from app.store.outcomes import Finding, Outcomes
from app.store.records import Body
from app.store.tokens import Tokens
from tests.canaries.planted import CODE, ENCRYPTION_KEY

KEEP_MS = 100 * 3600 * 1000
ALICE, BOB = "+84901000001", "+84901000002"
DESTINATION = "https://checkout.internal:443"
URL = "https://checkout.internal/outcomes"
_KEY = Secret.of(ENCRYPTION_KEY)

ACCOUNT = AccountConfig(
    name="main",
    base_url="https://provider.test",
    secret_key=Secret.of("unused"),
    timezone=ZoneInfo("Asia/Ho_Chi_Minh"),
    number_format="national",
    timeout=timedelta(seconds=10),
    ca_file=None,
    outcomes_from="campaign_export",
)
LOGIN = CampaignConfig(
    name="login-otp",
    account="main",
    campaign_id="c1",
    kind="voice_otp",
    batch_size=10,
    linger=timedelta(0),
    concurrency=10,
    default_ttl=timedelta(minutes=2),
    outcome_timeout=timedelta(minutes=10),
    reconcile_window=timedelta(seconds=30),
    redial_window=timedelta(0),
    max_queued=100_000,
    on_ambiguous="retry",
    per_number_limit=Rate(1000, timedelta(seconds=1)),
    max_per_hour=0,
    allowed_regions=("VN",),
    supersede_queued=False,
)
CHECKOUT = ClientConfig(
    name="checkout",
    api_keys=(),
    campaigns=("login-otp",),
    callback_url=URL,
    callback_allow=(),
    signing_secrets=(),
    events=("final",),
    rate_limit=Rate(100_000, timedelta(seconds=1)),
)
OPERATOR = Act(by="mai", key="d74ff0ee", why="callers complain")
DELIVERY = replace(CHECKOUT, name="delivery")
SOURCE = source_of(LOGIN, ACCOUNT)


def draft_of(
    number: str = ALICE,
    *,
    client: ClientConfig = CHECKOUT,
    campaign: CampaignConfig = LOGIN,
    key: str | None = None,
    sent: bytes = b"{}",
    ttl_ms: int | None = None,
    destination: str | None = DESTINATION,
    reference: str | None = None,
) -> Draft:
    """A message on its way in."""
    return Draft(
        client=client,
        campaign=campaign,
        body=Body(number, reference, {}, URL if destination else None, {}),
        otp_code=Secret.of(CODE),
        ttl_ms=ttl_ms,
        expires_at_ms=None,
        destination=destination,
        traceparent=None,
        idempotency_key=key,
        canonical_body=sent,
    )


def call_row(call_id: str = "", state: int = 40) -> Call:
    """A row of an export."""
    return Call(
        call_id=call_id,
        caller_id="19001000",
        called_at=None,
        duration=8,
        key_press="",
        keys=[],
        note="NORMAL CLEARING",
        state=state,
    )


_WHOLE: dict[bytes, Callable[[str], tuple[str | int, ...]]] = {
    b"string": lambda name: ("GET", name),
    b"hash": lambda name: ("HGETALL", name),
    b"zset": lambda name: ("ZRANGE", name, 0, -1, "WITHSCORES"),
    b"set": lambda name: ("SORT", name, "ALPHA"),
    b"list": lambda name: ("LRANGE", name, 0, -1),
    b"stream": lambda name: ("XRANGE", name, "-", "+"),
}


class Desk:
    """The store's faces, and short ways to what tests do often."""

    def __init__(self, database: Database) -> None:
        self.db = database
        self.redis: Client = database.client
        self.messages = Messages(database, keep_ms=KEEP_MS)
        self.batches = Batches(database)
        self.outcomes = Outcomes(database)
        self.events = Events(database, keep_ms=KEEP_MS)
        self.tokens = Tokens(database)
        self.campaigns = Campaigns(database)
        self.actions = Actions(database, keep_ms=KEEP_MS)

    async def accept(self, number: str = ALICE, **more: Any) -> MessageId:
        answer = await self.messages.accept(draft_of(number, **more), new_message_id())
        assert isinstance(answer, Accepted), answer
        return answer.message.id

    async def lease(self, campaign: CampaignConfig = LOGIN) -> Batch:
        batch = await self.batches.lease(campaign, ACCOUNT)
        assert isinstance(batch, Batch), batch
        return batch

    async def no_lease(self, campaign: CampaignConfig = LOGIN) -> Nothing:
        nothing = await self.batches.lease(campaign, ACCOUNT)
        assert isinstance(nothing, Nothing), nothing
        return nothing

    async def sending(self, campaign: CampaignConfig = LOGIN) -> Batch:
        """A batch that has been marked: its import may be on its way."""
        batch = await self.lease(campaign)
        marked = await self.batches.mark_sending(batch, lease_ms=15_000)
        assert marked is not None
        return batch

    async def submitted(self, number: str = ALICE, *, call_id: str = "", **more: Any) -> MessageId:
        """A message that the provider took, alone in its batch."""
        message_id = await self.accept(number, **more)
        batch = await self.sending(more.get("campaign", LOGIN))
        assert ids_of(batch) == [message_id]
        await self.batches.settle(batch, "missing", taken={message_id: call_id})
        return message_id

    async def row(
        self,
        number: str = ALICE,
        call_id: str = "",
        state: int = 40,
        *,
        called_at_ms: int | None = None,
        tolerance_ms: int = 0,
        redial_ms: int = 0,
    ) -> Finding:
        """Gives a row of the export to whoever it tells of."""
        return await self.outcomes.give_row(
            "main",
            number,
            call_row(call_id, state),
            "busy",
            called_at_ms=called_at_ms,
            tolerance_ms=tolerance_ms,
            redial_ms=redial_ms,
        )

    async def answered(self, number: str = ALICE, **more: Any) -> MessageId:
        """A message with a final event."""
        message_id = await self.submitted(number, call_id=f"call-{number[-4:]}", **more)
        assert (await self.row(number, f"call-{number[-4:]}")).fate == "settled"
        return message_id

    async def claim(
        self, *, most: int = 100, slots: int = 10, lease_ms: int = 60_000, fence: str = "f"
    ) -> list[DueEvent]:
        return (await self.events.claim(most=most, slots=slots, lease_ms=lease_ms, fence=fence))[1]

    async def state(self, message_id: MessageId) -> tuple[str, str | None]:
        shown = await self.messages.show(message_id, None)
        assert shown is not None
        return shown.message.state.value, shown.message.reason

    async def field(self, message_id: MessageId, name: str) -> str | None:
        value = await self.db.read("HGET", self.db.key("m", message_id), name)
        return None if value is None else value.decode(errors="replace")

    async def events_of(self, message_id: MessageId) -> list[str]:
        shown = await self.messages.show(message_id, None)
        assert shown is not None
        return [one.type or "" for one in shown.callbacks]

    async def number_claimed_by(self, number: str = ALICE) -> str | None:
        held = await self.db.read("HGET", self.db.key("numbers", "main"), self.db.index.of("number", number))
        return None if held is None else held.decode()

    async def now_ms(self) -> int:
        seconds, micros = await self.db.read("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def make_overdue(self, batch_id: BatchId) -> None:
        """As if the worker that holds the batch had been gone for long."""
        assert await self.db.read("ZADD", self.db.key("leases"), "XX", "CH", 1, batch_id) == 1

    async def make_expired(self, message_id: MessageId) -> None:
        """As if the message's time had run out."""
        ca = await self.field(message_id, "ca")
        await self.db.read("HSET", self.db.key("m", message_id), "ex", 1)
        await self.db.read("ZADD", self.db.key("queued", str(ca)), "XX", 1, message_id)

    async def make_expired_in_hand(self, message_id: MessageId) -> None:
        """As if its time ran out while a worker held it."""
        await self.db.read("HSET", self.db.key("m", message_id), "ex", 1)

    async def dump(self) -> dict[str, object]:
        """All that Redis holds, every key with its value, in an order that does not depend on Redis' own."""
        names = sorted(name.decode() for name in await self.db.read("KEYS", "*"))
        kinds = await self.db.read_many([("TYPE", name) for name in names])
        values = await self.db.read_many(
            [_WHOLE[kind](name) for name, kind in zip(names, kinds, strict=True)]
        )
        return {
            name: sorted(zip(value[::2], value[1::2], strict=True)) if kind == b"hash" else value
            for name, kind, value in zip(names, kinds, values, strict=True)
        }

    async def names(self, kind: str) -> list[str]:
        """Keys of that kind."""
        return sorted(name.decode() for name in await self.db.read("KEYS", f"{PREFIX}{kind}:*"))


def ids_of(batch: Batch) -> list[MessageId]:
    """Whom the batch carries."""
    return [member.message_id for member in batch.members]


def numbers(count: int) -> Sequence[str]:
    """Different numbers."""
    return [f"+8490200{n:04d}" for n in range(count)]


@asynccontextmanager
async def open_desk(url: str) -> AsyncIterator[Desk]:
    """A desk over an emptied Redis."""
    client = connect_raw(url)
    database = Database(client, Keyring([_KEY]), Index(b"i" * 32), Committer(client, None))
    try:
        await database.read("FLUSHALL")
        yield Desk(database)
    finally:
        await database.close()
