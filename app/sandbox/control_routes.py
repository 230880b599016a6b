"""What tests ask and switch over HTTP, under `/sandbox`. JSON; no key: whoever reaches the sandbox may do anything."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, Router, delete, get, post, put
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from app.sandbox.calls import Call, shown_rows
from app.sandbox.campaigns import Campaign
from app.sandbox.exporting import written_called_at
from app.sandbox.fault_board import ActiveFault, UnknownFault
from app.sandbox.faults import FAULTS, ClockOffset
from app.sandbox.phone_number import read_national
from app.sandbox.received import Counts, Import
from app.sandbox.sandbox import Contact, Sandbox, now_ms

ControlRequest = Request[Any, Any, State]
Answer = Response[bytes]


class CallState(msgspec.Struct, kw_only=True):
    """One row of a call as it stands now; `placed_at_ms` and `called_at_ms` are true time, `called_at` is as exported.

    A call that no export shows has state 0. `variables` holds everything the contact carried but number and code.
    """

    call_id: int
    campaign: str
    number: str
    state: int
    note: str
    placed_at_ms: int
    called_at_ms: int | None
    called_at: str
    variables: dict[str, str]
    otp_ok: bool
    foreign: bool


class SandboxState(msgspec.Struct, kw_only=True):
    """Everything the sandbox knows, oldest first."""

    counts: Counts
    campaigns: dict[str, dict[str, object]]
    faults: dict[str, dict[str, object]]
    imports: list[Import]
    calls: list[CallState]


class Spoken(msgspec.Struct, kw_only=True):
    """What a call said: the code (None for a notification, or after a restart) and the contact's variables."""

    call_id: int
    campaign: str
    number: str
    otp_code: str | None
    variables: dict[str, str]


class SecretKey(msgspec.Struct, forbid_unknown_fields=True):
    """A new secret key."""

    secret_key: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class ForeignCalls(msgspec.Struct, forbid_unknown_fields=True):
    """Numbers that somebody calls by the provider's website."""

    numbers: Annotated[list[str], msgspec.Meta(min_length=1, max_length=10_000)]


@get("/faults")
async def list_faults(sandbox: NamedDependency[Sandbox]) -> Answer:
    """What is on, and every fault there is with its parameters' defaults."""
    known = {
        name: {"says": says(name), "params": msgspec.structs.asdict(kind())} for name, kind in FAULTS.items()
    }
    return _json({"active": active_faults(sandbox), "known": known})


@put("/faults/{name:str}")
async def switch_fault_on(
    request: ControlRequest, sandbox: NamedDependency[Sandbox], name: FromPath[str]
) -> Answer:
    """Switch a fault on with the body's parameters; an empty body takes the defaults."""
    body = await request.body()
    try:
        active = sandbox.faults.switch_on(name, msgspec.json.decode(body) if body.strip() else {})
    except UnknownFault as error:
        return _json({"error": str(error), "faults": list(FAULTS)}, 404)
    except msgspec.DecodeError as error:
        return _json({"error": str(error), "params": msgspec.structs.asdict(FAULTS[name]())}, 422)
    return _json(shown_fault(active))


@delete("/faults/{name:str}", status_code=200)
async def switch_fault_off(sandbox: NamedDependency[Sandbox], name: FromPath[str]) -> Answer:
    """Switch a fault off; fine if it was not on."""
    try:
        sandbox.faults.switch_off(name)
    except UnknownFault as error:
        return _json({"error": str(error), "faults": list(FAULTS)}, 404)
    return _json({"active": active_faults(sandbox)})


@delete("/faults", status_code=200)
async def switch_all_faults_off(sandbox: NamedDependency[Sandbox]) -> Answer:
    sandbox.faults.clear()
    return _json({"active": {}})


@get("/state")
async def show_state(sandbox: NamedDependency[Sandbox], newest: FromQuery[int | None] = None) -> Answer:
    """Everything; `?newest=n` the last n imports and the last n calls of each campaign."""
    offset = sandbox.faults.peek(ClockOffset)
    offset_ms = offset.seconds * 1000 if offset else 0
    imports = list(sandbox.received.imports)
    state = SandboxState(
        counts=sandbox.received.counts,
        campaigns={campaign.campaign_id: _shown_campaign(campaign) for campaign in sandbox.campaigns},
        faults=active_faults(sandbox),
        imports=imports if newest is None else imports[-newest:],
        calls=[
            shown
            for campaign in sandbox.campaigns
            for call in (campaign.calls if newest is None else campaign.calls[-newest:])
            for shown in call_states(sandbox, call, now_ms(), offset_ms)
        ],
    )
    return _json(state)


@get("/calls/{call_id:int}/spoken")
async def show_spoken(
    sandbox: NamedDependency[Sandbox], call_id: FromPath[int], campaign: FromQuery[str | None] = None
) -> Answer:
    """What the phone said. `campaign` tells apart calls where each campaign counts its own ids."""
    found = [
        call
        for candidate in sandbox.campaigns
        if campaign in (None, candidate.campaign_id) and (call := candidate.call(call_id))
    ]
    if not found:
        return _json({"error": f"no call {call_id}"}, 404)
    newest = max(found, key=lambda call: call.placed_at_ms)
    return _json(
        Spoken(
            call_id=call_id,
            campaign=newest.campaign_id,
            number=newest.number,
            otp_code=newest.otp_code,
            variables=newest.variables,
        )
    )


@post("/campaigns/{campaign_id:str}/stop", status_code=200)
async def stop_campaign(sandbox: NamedDependency[Sandbox], campaign_id: FromPath[str]) -> Answer:
    campaign = sandbox.campaigns.get(campaign_id)
    if campaign is None:
        return _no_campaign(sandbox, campaign_id)
    sandbox.stop(campaign)
    return _json(_shown_campaign(campaign))


@post("/campaigns/{campaign_id:str}/start", status_code=200)
async def start_campaign(sandbox: NamedDependency[Sandbox], campaign_id: FromPath[str]) -> Answer:
    campaign = sandbox.campaigns.get(campaign_id)
    if campaign is None:
        return _no_campaign(sandbox, campaign_id)
    sandbox.start(campaign)
    return _json(_shown_campaign(campaign))


@post("/campaigns/{campaign_id:str}/foreign-calls", status_code=200)
async def place_foreign_calls(
    request: ControlRequest, sandbox: NamedDependency[Sandbox], campaign_id: FromPath[str]
) -> Answer:
    """Somebody calls these numbers by the website: rows that no import explains."""
    campaign = sandbox.campaigns.get(campaign_id)
    if campaign is None:
        return _no_campaign(sandbox, campaign_id)
    try:
        wanted = msgspec.json.decode(await request.body(), type=ForeignCalls)
    except msgspec.DecodeError as error:
        return _json({"error": str(error)}, 422)
    numbers = [number for spelled in wanted.numbers if (number := read_national(spelled))]
    contacts = [Contact(number=number, variables={}, foreign=True) for number in numbers]
    return _json({"call_ids": [call.call_id for call in sandbox.place(campaign, contacts, now_ms())]})


@post("/tokens/kill", status_code=200)
async def kill_tokens(sandbox: NamedDependency[Sandbox]) -> Answer:
    """Every token made so far is dead."""
    sandbox.kill_tokens()
    return _json({"dead_up_to": sandbox.account.dead_up_to})


@put("/secret-key")
async def change_secret_key(request: ControlRequest, sandbox: NamedDependency[Sandbox]) -> Answer:
    """As on the provider's website: the old key and all its tokens are dead."""
    try:
        wanted = msgspec.json.decode(await request.body(), type=SecretKey)
    except msgspec.DecodeError as error:
        return _json({"error": str(error)}, 422)
    sandbox.change_secret_key(wanted.secret_key)
    return _json({"dead_up_to": sandbox.account.dead_up_to})


@post("/reset", status_code=200)
async def reset(sandbox: NamedDependency[Sandbox]) -> Answer:
    """No calls, no faults, nothing received, every campaign running."""
    sandbox.reset()
    return _json({"active": {}})


def says(name: str) -> str:
    """What a fault does, in its own words."""
    return " ".join((FAULTS[name].__doc__ or "").split())


def shown_fault(active: ActiveFault) -> dict[str, object]:
    """A fault's parameters, how often it has struck and may still."""
    return {**msgspec.structs.asdict(active.fault), "left": active.left, "struck": active.struck}


def active_faults(sandbox: Sandbox) -> dict[str, dict[str, object]]:
    return {name: shown_fault(active) for name, active in sandbox.faults.active.items()}


def call_states(sandbox: Sandbox, call: Call, at_ms: int, offset_ms: int) -> list[CallState]:
    """The call's rows at `at_ms`, whatever an export would hide; one with state 0 where it never has any."""
    return [
        CallState(
            call_id=row.call_id,
            campaign=call.campaign_id,
            number=call.number,
            state=row.state,
            note=row.verdict.note if row.verdict else "",
            placed_at_ms=call.placed_at_ms,
            called_at_ms=row.called_at_ms,
            called_at=written_called_at(sandbox, row, offset_ms),
            variables=call.variables,
            otp_ok=call.otp_ok,
            foreign=call.foreign,
        )
        for row in shown_rows(call, at_ms)
    ]


def _shown_campaign(campaign: Campaign) -> dict[str, object]:
    return {
        "name": campaign.name,
        "kind": campaign.kind,
        "running": campaign.running,
        "calls": len(campaign.calls),
    }


def _no_campaign(sandbox: Sandbox, campaign_id: str) -> Answer:
    known = [campaign.campaign_id for campaign in sandbox.campaigns]
    return _json({"error": f"no campaign {campaign_id!r}", "campaigns": known}, 404)


def _json(content: object, status: int = 200) -> Answer:
    return Response(msgspec.json.encode(content), status_code=status, media_type=MediaType.JSON)


def control_router() -> Router:
    """The control interface under `/sandbox`."""
    return Router(
        "/sandbox",
        route_handlers=[
            list_faults,
            switch_fault_on,
            switch_fault_off,
            switch_all_faults_off,
            show_state,
            show_spoken,
            stop_campaign,
            start_campaign,
            place_foreign_calls,
            kill_tokens,
            change_secret_key,
            reset,
        ],
    )
