"""Import contacts: what is refused, what is skipped without a word, what is taken.

Never tells in its answer why an element was not taken; the provider does not either.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import msgspec

from app.sandbox.calls import Call
from app.sandbox.campaigns import Campaign
from app.sandbox.faults import (
    CallIdKind,
    DeadToken,
    ForeignRows,
    FormOnly,
    KeepFirstDuplicate,
    MalformedContacts,
    NumberSpelling,
    SkipWhileCalling,
    StoppedCampaign,
    UnknownCampaign,
)
from app.sandbox.outcomes import Effect, outcome_of
from app.sandbox.phone_number import read_national, spell
from app.sandbox.received import Import
from app.sandbox.replies import Refusal, Reply, json_reply, refuse
from app.sandbox.sandbox import Contact, Moment, Sandbox, stranger

_CODE = re.compile(r"[0-9]{6}")
_OWN_FIELDS = ("phone_number", "otp_code")

Element = dict[str, object]


@dataclass(frozen=True)
class SentImport:
    """An import's body, as far as it could be read. `contacts` is None where it was no list of objects."""

    access_token: str
    contacts: list[Element] | None
    is_form: bool

    @property
    def numbers(self) -> list[str]:
        """The elements' numbers as they were spelled; what has none is left out."""
        spelled = [element.get("phone_number") for element in self.contacts or []]
        return [number for number in spelled if isinstance(number, str)]


@dataclass(frozen=True)
class _Candidate:
    spelled: str
    contact: Contact


def take_import(sandbox: Sandbox, campaign_id: str, sent: SentImport, entry: Import, moment: Moment) -> Reply:
    """Decide on one import, take what is to be taken, and write in `entry` how it went."""
    refusal = _refusal(sandbox, campaign_id, sent, moment)
    campaign = sandbox.campaigns.get(campaign_id)
    if refusal is not None or campaign is None:
        refusal = refusal or Refusal.CAMPAIGN
        entry.answer = refusal.code
        return refuse(refusal, sandbox.faults)
    contacts = sent.contacts or []
    candidates = _acceptable(sandbox, campaign, contacts, moment)
    calls = sandbox.place(campaign, [candidate.contact for candidate in candidates], moment.true_ms)
    entry.taken, entry.taken_count, entry.answer = True, len(calls), "1"
    _call_for_others(sandbox, campaign, calls, moment)
    message = f"Ghi nhận thành công {len(calls)} trên {len(contacts)} bản ghi"
    spelled = [candidate.spelled for candidate in candidates]
    return json_reply(
        {"status": 1, "message": message, "results": _results(sandbox, campaign, calls, spelled)}
    )


def _refusal(sandbox: Sandbox, campaign_id: str, sent: SentImport, moment: Moment) -> Refusal | None:
    faults = sandbox.faults
    if not sent.is_form and faults.take(FormOnly):
        return Refusal.TOKEN
    if not sandbox.account.accepts(sent.access_token, moment.provider_ms):
        return Refusal.TOKEN
    if faults.take_on(DeadToken, "import", campaign_id):
        return Refusal.TOKEN
    campaign = sandbox.campaigns.get(campaign_id)
    if campaign is None or faults.take(UnknownCampaign, campaign_id):
        return Refusal.CAMPAIGN
    if faults.take(StoppedCampaign, campaign_id) or (campaign.kind == "voice_otp" and not campaign.running):
        return Refusal.STOPPED
    poisoned = any(outcome_of(number).effect is Effect.POISON for number in sent.numbers)
    if sent.contacts is None or poisoned or faults.take(MalformedContacts, campaign_id):
        return Refusal.CONTACTS
    return None


def _acceptable(
    sandbox: Sandbox, campaign: Campaign, contacts: list[Element], moment: Moment
) -> list[_Candidate]:
    candidates = [found for element in contacts if (found := _candidate(element, campaign))]
    candidates = _without_duplicates(sandbox, campaign, candidates)
    if sandbox.faults.take(SkipWhileCalling, campaign.campaign_id) is None:
        return candidates
    return [kept for kept in candidates if not campaign.is_calling(kept.contact.number, moment.true_ms)]


def _candidate(element: Element, campaign: Campaign) -> _Candidate | None:
    spelled, code = element.get("phone_number"), element.get("otp_code")
    number = read_national(spelled) if isinstance(spelled, str) else None
    if number is None or not isinstance(spelled, str) or outcome_of(number).effect is Effect.SKIP:
        return None
    if campaign.kind != "voice_otp":
        return _Candidate(spelled, Contact(number=number, variables=_variables(element)))
    if not isinstance(code, str) or not _CODE.fullmatch(code) or code == "000000":
        return None
    return _Candidate(spelled, Contact(number=number, variables=_variables(element), otp_code=code))


def _variables(element: Element) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in element.items()
        if name not in _OWN_FIELDS
    }


def _without_duplicates(
    sandbox: Sandbox, campaign: Campaign, candidates: list[_Candidate]
) -> list[_Candidate]:
    """All elements of a number that stands twice go: the harsher reading of the provider's document."""
    times = Counter(candidate.contact.number for candidate in candidates)
    if len(times) == len(candidates):
        return candidates
    if sandbox.faults.take(KeepFirstDuplicate, campaign.campaign_id):
        return list({candidate.contact.number: candidate for candidate in reversed(candidates)}.values())[
            ::-1
        ]
    return [candidate for candidate in candidates if times[candidate.contact.number] == 1]


def _results(
    sandbox: Sandbox, campaign: Campaign, calls: list[Call], spelled: list[str]
) -> list[dict[str, str | int]]:
    kind = sandbox.faults.peek(CallIdKind, campaign.campaign_id)
    spelling = sandbox.faults.peek(NumberSpelling, campaign.campaign_id)
    return [
        {
            "phone_number": spell(call.number, spelling.spelling)
            if spelling and spelling.in_results
            else number,
            "call_id": _call_id(call, kind),
        }
        for call, number in zip(calls, spelled, strict=True)
        if call.outcome.effect is not Effect.UNLISTED
    ]


def _call_id(call: Call, kind: CallIdKind | None) -> str | int:
    if kind is None or kind.in_import == "number":
        return call.call_id
    return "" if kind.in_import == "empty" else str(call.call_id)


def _call_for_others(sandbox: Sandbox, campaign: Campaign, calls: list[Call], moment: Moment) -> None:
    foreign = sandbox.faults.take(ForeignRows, campaign.campaign_id)
    if foreign is None:
        return
    others = [stranger() for _ in range(foreign.count)]
    if foreign.numbers == "same":
        others = [Contact(number=call.number, variables={}, foreign=True) for call in calls[: foreign.count]]
    sandbox.place(campaign, others, moment.true_ms)
