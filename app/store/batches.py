"""Batches: leased, marked before they are sent, settled once. Each change is one script.

A batch's id is its fence: it is given to one lease and never again, and every script checks that the batch still is
in the state that the caller believes. A worker that lost its lease changes nothing. A record that no key of this
worker opens stops no other: it is set aside before anything is sent, and waits queued.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, Unpack

import structlog

from app.message import BatchId, MessageId
from app.sealing import UnsealableError
from app.secret import Secret
from app.store.faults import StoreError
from app.store.records import open_body, open_code

if TYPE_CHECKING:
    from app.config import AccountConfig, CampaignConfig
    from app.store.database import Database

log = structlog.get_logger()

LEASE_MS = 5_000
"""From lease to the mark before the import. A batch that waits there, for a token or for its other half, is renewed."""
SENDING_MARGIN_MS = 5_000
"""By how much the lease of an import outlasts the provider's timeout."""
EXPIRY_MARGIN_MS = 200
"""A message that expires sooner than this is not put on the wire any more."""
PROBE_PAUSE_MS = 5_000
"""After so long without an answer to a probe another goes out: its worker may be gone."""
LONE_REJECTIONS = 3
"""So many lone contacts refused with no success between are not the contacts' fault."""
SMALLER_FOR_MS = 600_000
"""How long batches stay small after the provider found one too large."""
_LET_GO_S = 1.0
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Member:
    """A message of a batch, opened for its import."""

    message_id: MessageId
    phone_number: str
    otp_code: Secret | None
    variables: Mapping[str, str]
    expires_at_ms: int
    accepted_at_ms: int
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one import carries, and where it is sent."""

    batch_id: BatchId
    campaign: CampaignConfig
    members: tuple[Member, ...]
    probe: bool
    """A lone probe of a campaign that is held."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """No batch now. `wait_ms`: when to ask again; None: when woken."""

    wait_ms: int | None
    held: str | None = None


@dataclass(frozen=True, slots=True)
class CeilingReached:
    """So much of a campaign's hour is used: told to one worker, once, which asks again at once."""

    percent: int
    """80, or 100: nothing more goes until the hour frees some."""
    used: int
    """Calls that count."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a campaign is held, None if it is not; and how many times in a row it was found so."""

    reason: str | None
    probes: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How many members of a batch met which fate."""

    taken: int
    rejected: int
    requeued: int
    ambiguous: int


def source_of(campaign: CampaignConfig, account: AccountConfig) -> str:
    """Where outcomes of this campaign are asked for: an account, and its campaign unless one poll serves all."""
    if account.outcomes_from == "account_call_log":
        return account.name
    return f"{account.name}/{campaign.campaign_id}"


def _new_batch_id() -> BatchId:
    return BatchId(f"batch_{secrets.token_hex(10)}")


class Settlement(TypedDict, total=False):
    """What became of a batch, beside the one fate of all who are not in `taken` (their call ids by message)."""

    taken: Mapping[MessageId, str]
    hold: str
    """Empty, `release`, or the reason to hold the campaign until a probe after `probe_after_ms`."""
    probe_after_ms: int
    lone: bool
    """A lone contact was refused: counted, and after `LONE_REJECTIONS` of them the campaign is held."""


class Batches:
    """The store's face to the import. `worker`: whose heartbeat says that its batches are in hand."""

    def __init__(self, database: Database, worker: str = "") -> None:
        self._db = database
        self._worker = worker

    async def lease(
        self, campaign: CampaignConfig, account: AccountConfig
    ) -> Batch | Nothing | CeilingReached:
        """The next batch of the campaign, or when to ask again, or what is to be told of its ceiling."""
        batch_id = _new_batch_id()
        reply = await self._db.run(
            "lease",
            campaign.name,
            account.name,
            batch_id,
            campaign.batch_size,
            campaign.concurrency,
            round(campaign.linger.total_seconds() * 1000),
            LEASE_MS,
            campaign.max_per_hour,
            campaign.campaign_id,
            account.base_url,
            PROBE_PAUSE_MS,
            source_of(campaign, account),
            self._worker,
        )
        word = reply[0].decode()
        if word == "batch":
            members = await self._opened(campaign, batch_id, reply[2:])
            return Batch(batch_id, campaign, members, probe=reply[1] == b"1") if members else Nothing(1)
        if word == "ceiling":
            return CeilingReached(*reply[1:])
        if word == "held":
            return Nothing(max(1, int(reply[2])), held=reply[1].decode())
        return Nothing(max(1, int(reply[1]))) if word == "wait" else Nothing(None)

    async def _opened(
        self, campaign: CampaignConfig, batch_id: BatchId, rows: list[list[bytes]]
    ) -> tuple[Member, ...]:
        """Whom the import can carry. Who cannot be opened waits queued. Empty: nobody is left, or the lease is lost."""
        members: list[Member] = []
        aside: list[str] = []
        for row in rows:
            try:
                members.append(self._member(row))
            except UnsealableError:
                aside.append(row[0].decode())
        if not aside:
            return tuple(members)
        log.error(
            "message cannot be opened, left queued: is a key missing in [storage] encryption_keys",
            campaign=campaign.name,
            message_ids=aside[:_MOST_NAMED],
            count=len(aside),
        )
        reply = await self._db.run("set_aside", batch_id, *aside)
        return tuple(members) if reply[0] == b"left" and reply[1] == len(members) else ()

    def _member(self, row: list[bytes]) -> Member:
        message_id = MessageId(row[0].decode())
        body = open_body(self._db.keyring, message_id, row[1])
        code = open_code(self._db.keyring, message_id, row[2]) if row[2] else None
        return Member(
            message_id=message_id,
            phone_number=body.phone_number,
            otp_code=None if code is None else Secret.of(code),
            variables=body.variables,
            expires_at_ms=int(row[3]),
            accepted_at_ms=int(row[4]),
            traceparent=row[5].decode() or None,
        )

    async def mark_sending(self, batch: Batch, *, lease_ms: int) -> tuple[int, frozenset[MessageId]] | None:
        """Durably says that the import leaves: when, by Redis' clock, and with whom. None: the lease is lost."""
        reply = await self._db.commit("mark_sending", batch.batch_id, lease_ms, EXPIRY_MARGIN_MS)
        if reply[0] == b"lost":
            return None
        return int(reply[1]), frozenset(MessageId(row.decode()) for row in reply[2])

    async def settle(
        self,
        batch: Batch,
        others: str,
        argument: str = "",
        **became: Unpack[Settlement],
    ) -> Tally | None:
        """Writes each member's fate: `taken` with its call id, and one fate for all `others`. None: lease lost.

        `others` is `missing`, `requeue` (`argument`: delay in ms), `ambiguous` or `rejected` (`argument`: why).
        """
        pairs = [text for pair in became.get("taken", {}).items() for text in pair]
        reply = await self._db.run(
            "settle",
            batch.batch_id,
            others,
            argument,
            became.get("hold", ""),
            became.get("probe_after_ms", 0),
            LONE_REJECTIONS if became.get("lone") else 0,
            *pairs,
        )
        return None if reply[0] == b"lost" else Tally(*reply[1:])

    async def renew(self, batch: Batch) -> bool:
        """A batch that is leased and waits keeps its lease for `LEASE_MS` more. False: it is lost."""
        return bool(await self._db.run("renew_lease", batch.batch_id, LEASE_MS))

    async def let_go(self, batch: Batch) -> None:
        """Ends the batch's lease now: the next sweep judges it as one whose worker went away. Never raises."""
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_LET_GO_S):
                await self._db.read("ZADD", self._db.key("leases"), "XX", 0, batch.batch_id)

    async def split(self, batch: Batch, *, smaller_from_now: bool) -> tuple[Batch, Batch] | None:
        """The batch as two, each with a lease of its own. None: the lease is lost."""
        first, second = _new_batch_id(), _new_batch_id()
        reply = await self._db.run(
            "split", batch.batch_id, first, second, LEASE_MS, "1" if smaller_from_now else "", SMALLER_FOR_MS
        )
        if reply[0] == b"lost":
            return None
        by_id = {member.message_id: member for member in batch.members}
        halves = [tuple(by_id[MessageId(row.decode())] for row in half) for half in reply[1:]]
        return (
            Batch(first, batch.campaign, halves[0], probe=batch.probe),
            Batch(second, batch.campaign, halves[1], probe=batch.probe),
        )

    async def recover(self, *, most: int) -> list[tuple[BatchId, str, str, int]]:
        """Takes overdue leases back: batch, campaign, `requeued` or `ambiguous`, and how many messages it had."""
        rows = await self._db.run("recover_leases", most)
        return [(BatchId(b.decode()), campaign.decode(), fate.decode(), n) for b, campaign, fate, n in rows]

    async def expire(self, campaign: CampaignConfig, *, most: int) -> tuple[int, str]:
        """Ends queued messages whose time has run out: how many, and the reason they bear."""
        count, reason = await self._db.run("expire", campaign.name, campaign.account, most)
        return count, reason.decode()

    async def hold_of(self, campaign: str) -> Hold:
        """Whether the campaign is held, and how long already."""
        reason, probes = await self._db.read("HMGET", self._db.key("hold", campaign), "reason", "probes")
        return Hold(reason.decode() if reason else None, int(probes or 0))
