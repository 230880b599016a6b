"""A request's body becomes a draft: the rules that need the client, its campaign or the clock.

Every fault of a body is told at once. What is given out passed all of the contract's checks of fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from app.callbacks.address_policy import CallbackRefused
from app.intake.faults import CampaignForbidden, Faults
from app.intake.fields import TTL_S, read_message_fields
from app.phone import NumberFault, parse_caller_number
from app.secret import Secret
from app.store.messages import Draft
from app.store.records import Body

if TYPE_CHECKING:
    from app.config import CampaignConfig
    from app.intake.callers import Caller


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it came: the parsed body, and what its headers say."""

    body: object = field(repr=False)
    canonical_body: bytes = field(repr=False)
    """Used only where there is a key."""
    idempotency_key: str | None
    traceparent: str | None


def read_draft(sent: Sent, caller: Caller, now: datetime) -> Draft:
    """The draft. `BodyFault` with all that is at fault; then `CampaignForbidden`."""
    faults = Faults()
    found = read_message_fields(sent.body, faults)
    body = cast("dict[str, object]", sent.body if isinstance(sent.body, dict) else {})
    campaign = _campaign(found, body, caller, faults)
    number = _number(found, campaign, caller, faults)
    _check_code(found, body, campaign, faults)
    url, destination = _callback(found, caller, faults)
    _check_expiry(found, body, now, faults)
    faults.raise_any()
    if campaign is None:
        raise CampaignForbidden
    code = cast("str | None", found.get("otp_code"))
    expires_at = cast("datetime | None", found.get("expires_at"))
    expires_in = cast("int | None", found.get("expires_in"))
    return Draft(
        client=caller.config,
        campaign=campaign,
        body=Body(
            phone_number=number,
            reference=cast("str | None", found.get("reference")),
            metadata=cast("dict[str, str]", found.get("metadata", {})),
            callback_url=url,
            variables=cast("dict[str, str]", found.get("variables", {})),
        ),
        otp_code=None if code is None else Secret.of(code),
        ttl_ms=None if expires_in is None else expires_in * 1000,
        expires_at_ms=None if expires_at is None else int(expires_at.timestamp() * 1000),
        destination=destination,
        traceparent=sent.traceparent,
        idempotency_key=sent.idempotency_key,
        canonical_body=sent.canonical_body,
    )


def _campaign(
    found: dict[str, object], body: dict[str, object], caller: Caller, faults: Faults
) -> CampaignConfig | None:
    """None: at fault, or not one of the caller's."""
    name = found.get("campaign")
    if name is None and "campaign" not in body:
        name = caller.only_campaign
        if name is None:
            faults.add("/campaign", "required, for this client may use several")
    return caller.campaigns.get(name) if isinstance(name, str) else None


def _number(found: dict[str, object], campaign: CampaignConfig | None, caller: Caller, faults: Faults) -> str:
    """Without a campaign, as any of the caller's would read it, so that all faults are told at once."""
    written = found.get("phone_number")
    if not isinstance(written, str):
        return ""
    try:
        return parse_caller_number(written, caller.regions if campaign is None else campaign.allowed_regions)
    except NumberFault as fault:
        faults.add("/phone_number", str(fault))
        return ""


def _check_code(
    found: dict[str, object], body: dict[str, object], campaign: CampaignConfig | None, faults: Faults
) -> None:
    if campaign is None:
        return
    if campaign.kind == "voice_otp" and "otp_code" not in body:
        faults.add("/otp_code", "required for a campaign of kind voice_otp")
    if campaign.kind == "notification" and "otp_code" in body:
        faults.add("/otp_code", "must be left out for a campaign of kind notification")


def _callback(found: dict[str, object], caller: Caller, faults: Faults) -> tuple[str | None, str | None]:
    """The URL, and its scheme, host and port."""
    url = found.get("callback_url")
    if not isinstance(url, str):
        return caller.config.callback_url, caller.default_destination
    try:
        return url, str(caller.policy.check_url(url).origin)
    except CallbackRefused as refused:
        faults.add("/callback_url", str(refused))
        return None, None


def _check_expiry(found: dict[str, object], body: dict[str, object], now: datetime, faults: Faults) -> None:
    if "expires_in" in body and "expires_at" in body:
        faults.add("/expires_at", "must not stand beside expires_in")
    at = found.get("expires_at")
    if not isinstance(at, datetime):
        return
    least, most = timedelta(seconds=TTL_S[0]), timedelta(seconds=TTL_S[1])
    if not least <= at - now <= most:
        faults.add("/expires_at", "expected a time 5 seconds to 24 hours ahead")
