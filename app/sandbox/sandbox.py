"""The sandbox's whole state, and the moves of it that must reach the state file. Knows nothing of HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from secrets import randbelow
from zoneinfo import ZoneInfo

from app.sandbox.accounts import Account, SecretKeyChanged, TokensMoved, fingerprint
from app.sandbox.calls import Call
from app.sandbox.campaigns import Campaign, Campaigns
from app.sandbox.fault_board import FaultBoard
from app.sandbox.faults import CallIdsPerCampaign, ClockOffset, FewLines
from app.sandbox.received import Import, Received
from app.sandbox.settings import SandboxSettings
from app.sandbox.state_file import CallScheduled, CampaignMoved, Record, StateFile


@dataclass(frozen=True, slots=True)
class Moment:
    """The time of one request: read once, ms since the epoch; the provider's clock may differ by the offset."""

    true_ms: int
    offset_ms: int

    @property
    def provider_ms(self) -> int:
        return self.true_ms + self.offset_ms


@dataclass(frozen=True, kw_only=True)
class Contact:
    """What is to be called. `number` is national; the code is None for a notification."""

    number: str
    variables: dict[str, str]
    otp_code: str | None = None
    foreign: bool = False


def now_ms() -> int:
    return int(time.time() * 1000)


class Sandbox:
    """One account with its campaigns, calls and faults. Opening it reads the state file.

    Raises `StateFileUnreadable`.
    """

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.zone = ZoneInfo(settings.timezone)
        self.account = Account(settings.secret_key, settings.token_ttl)
        self.campaigns = Campaigns(settings.campaigns)
        self.faults = FaultBoard()
        self.received = Received()
        self.file = StateFile(settings.state_file)
        for record in self.file.load():
            self._restore(record)
        self.file.rewrite(self._records())

    def moment(self) -> Moment:
        """Now, by the provider's clock; counts as one strike of a clock_offset."""
        offset = self.faults.take(ClockOffset)
        return Moment(now_ms(), offset.seconds * 1000 if offset else 0)

    def local_time(self, at_ms: int) -> str:
        """A time as the provider writes it: `2026-11-24 10:16:44`, in the account's zone."""
        return f"{datetime.fromtimestamp(at_ms // 1000, self.zone):%Y-%m-%d %H:%M:%S}"

    def place(self, campaign: Campaign, contacts: list[Contact], at_ms: int) -> list[Call]:
        """Take contacts into a campaign: each is called as soon as it runs and has a line. They are on file then."""
        per_campaign = self.faults.take(CallIdsPerCampaign, campaign.campaign_id) is not None
        lines = self._lines(campaign)
        calls = [self._new_call(campaign, contact, at_ms, per_campaign=per_campaign) for contact in contacts]
        for call in calls:
            if campaign.running:
                campaign.schedule(call, at_ms, lines)
            campaign.add(call)
        self.file.append(*calls)
        return calls

    def find_late(self, campaign: Campaign, count: int, at_ms: int) -> None:
        """Somebody else's calls of ten seconds ago that come to light only now."""
        contacts = [stranger() for _ in range(count)]
        calls = [self._new_call(campaign, contact, at_ms, per_campaign=False) for contact in contacts]
        for call in calls:
            call.starts_at_ms = at_ms - 10_000
            campaign.add(call)
        self.file.append(*calls)

    def stop(self, campaign: Campaign) -> None:
        """As on the provider's website; what is being called goes on."""
        waiting = campaign.stop(now_ms())
        self._note_move(campaign, waiting)

    def start(self, campaign: Campaign) -> None:
        """The campaign runs again, and calls what it took while stopped."""
        started = campaign.start(now_ms(), self._lines(campaign))
        self._note_move(campaign, started)

    def note_tokens(self) -> None:
        """Put the account's tokens on file."""
        self.file.append(TokensMoved(self.account.made, self.account.dead_up_to))

    def kill_tokens(self) -> None:
        self.account.kill_tokens()
        self.note_tokens()

    def change_secret_key(self, secret_key: str) -> None:
        self.account.change_secret_key(secret_key)
        self.note_tokens()
        self.file.append(self._secret_key_record())

    def reset(self) -> None:
        """As fresh: no calls, no faults, nothing received, all campaigns running. Living tokens stay alive."""
        self.faults.clear()
        self.received.clear()
        self.campaigns.clear()
        for campaign in self.campaigns:
            campaign.running = True
        self.file.rewrite(self._records())

    def _new_call(self, campaign: Campaign, contact: Contact, at_ms: int, *, per_campaign: bool) -> Call:
        call = Call(
            call_id=self.campaigns.new_call_id(campaign, per_campaign=per_campaign),
            redial_id=None,
            campaign_id=campaign.campaign_id,
            number=contact.number,
            variables=contact.variables,
            otp_code=contact.otp_code,
            otp_ok=contact.otp_code is not None,
            placed_at_ms=at_ms,
            starts_at_ms=None,
            call_time_ms=int(self.settings.call_time.total_seconds() * 1000),
            foreign=contact.foreign,
        )
        if len(call.outcome.verdicts) > 1:
            call.redial_id = self.campaigns.new_call_id(campaign, per_campaign=per_campaign)
        return call

    def _lines(self, campaign: Campaign) -> int | None:
        few = self.faults.take(FewLines, campaign.campaign_id)
        return few.lines if few else None

    def _note_move(self, campaign: Campaign, calls: list[Call]) -> None:
        self.file.append(CampaignMoved(campaign.campaign_id, campaign.running), *map(_scheduled, calls))

    def _secret_key_record(self) -> SecretKeyChanged:
        return SecretKeyChanged(self.account.secret_key, fingerprint(self.settings.secret_key))

    def _records(self) -> Iterator[Record]:
        if self.account.secret_key != self.settings.secret_key:
            yield self._secret_key_record()
        yield TokensMoved(self.account.made, self.account.dead_up_to)
        for campaign in self.campaigns:
            yield CampaignMoved(campaign.campaign_id, campaign.running)
            yield from campaign.calls
        yield from self.received.imports

    def _restore(self, record: Record) -> None:
        match record:
            case Call():
                self.campaigns.restore(record)
            case Import():
                self.received.imports.append(record)
            case TokensMoved():
                self.account.made, self.account.dead_up_to = record.made, record.dead_up_to
            case SecretKeyChanged():
                if record.replaces == fingerprint(self.settings.secret_key):
                    self.account.secret_key = record.secret_key
            case CampaignMoved():
                self._restore_move(record)
            case CallScheduled():
                self._restore_schedule(record)

    def _restore_move(self, move: CampaignMoved) -> None:
        campaign = self.campaigns.get(move.campaign_id)
        if campaign is not None:
            campaign.running = move.running

    def _restore_schedule(self, scheduled: CallScheduled) -> None:
        campaign = self.campaigns.get(scheduled.campaign_id)
        if campaign is not None:
            campaign.restore_start(scheduled.call_id, scheduled.starts_at_ms)


def stranger() -> Contact:
    """Somebody whom the account's own imports never called, and who answers."""
    return Contact(number=f"0988{randbelow(100):02d}{5000 + randbelow(5000)}", variables={}, foreign=True)


def _scheduled(call: Call) -> CallScheduled:
    return CallScheduled(call.campaign_id, call.call_id, call.starts_at_ms)
