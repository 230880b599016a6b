"""The provider's four calls over HTTP, as its document gives them. Reads requests; decides nothing."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Router, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ASGIApp

from app.sandbox.exporting import Export, read_query
from app.sandbox.faults import (
    DeadToken,
    Endpoint,
    SecretKeyRejected,
    SingleToken,
    TokenShape,
    UnknownCampaign,
)
from app.sandbox.importing import SentImport, take_import
from app.sandbox.received import Import
from app.sandbox.replies import Refusal, Reply, json_reply, refuse
from app.sandbox.sandbox import Moment, Sandbox, now_ms
from app.sandbox.wire import Exchange, answer

ProviderRequest = Request[Any, Any, State]

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@post("/campaigns/{campaign_id:str}/import", status_code=200)
async def import_contacts(
    request: ProviderRequest, sandbox: NamedDependency[Sandbox], campaign_id: FromPath[str]
) -> ASGIApp:
    """Put contacts into a campaign. The entry of what was sent is there from the moment it arrived."""
    sent = await read_import(request)
    count = len(sent.contacts or [])
    entry = Import(at_ms=now_ms(), campaign_id=campaign_id, contacts=count, numbers=sent.numbers)
    sandbox.received.imports.append(entry)
    sandbox.received.counts.import_requests += 1
    exchange = Exchange("import", campaign_id, count)
    try:
        return await answer(
            sandbox, exchange, lambda moment: take_import(sandbox, campaign_id, sent, entry, moment)
        )
    finally:
        entry.fault = ", ".join(exchange.struck)
        sandbox.file.append(entry)


@get("/campaigns/{campaign_id:str}/export")
async def export_campaign(
    request: ProviderRequest, sandbox: NamedDependency[Sandbox], campaign_id: FromPath[str]
) -> ASGIApp:
    """One campaign's calls."""

    def work(moment: Moment) -> Reply:
        campaign = sandbox.campaigns.get(campaign_id)
        if not _may_read(request, sandbox, "export", campaign_id, moment):
            return refuse(Refusal.TOKEN, sandbox.faults)
        if campaign is None or sandbox.faults.take(UnknownCampaign, campaign_id):
            return refuse(Refusal.CAMPAIGN, sandbox.faults)
        page = Export(sandbox, campaign, read_query(_query(request), moment), moment).page()
        return json_reply(
            {"status": 1, "results": {"limit": page.limit, "total": page.total, "calls": page.calls}}
        )

    sandbox.received.counts.export_requests += 1
    return await answer(sandbox, Exchange("export", campaign_id), work)


@get("/users/call-log")
async def export_account(request: ProviderRequest, sandbox: NamedDependency[Sandbox]) -> ASGIApp:
    """All of the account's calls; the answer names no limit."""

    def work(moment: Moment) -> Reply:
        if not _may_read(request, sandbox, "call_log", None, moment):
            return refuse(Refusal.TOKEN, sandbox.faults)
        page = Export(sandbox, None, read_query(_query(request), moment), moment).page()
        return json_reply({"status": 1, "results": {"total": page.total, "calls": page.calls}})

    sandbox.received.counts.call_log_requests += 1
    return await answer(sandbox, Exchange("call_log"), work)


@get("/users/generate-access-token")
async def make_token(request: ProviderRequest, sandbox: NamedDependency[Sandbox]) -> ASGIApp:
    """A token for whoever knows the secret key."""
    sandbox.received.counts.token_requests += 1
    secret_key = _query(request).get("secret_key", "")
    return await answer(sandbox, Exchange("token"), lambda moment: _make_token(sandbox, secret_key, moment))


def _make_token(sandbox: Sandbox, secret_key: str, moment: Moment) -> Reply:
    account, faults = sandbox.account, sandbox.faults
    if not account.knows(secret_key) or faults.take(SecretKeyRejected):
        return refuse(Refusal.SECRET_KEY, faults)
    shape = faults.take(TokenShape) or TokenShape()
    token = account.make_token(moment.provider_ms, shape.form, shape.ttl_s)
    if faults.take(SingleToken):
        account.kill_tokens(but_newest=True)
    sandbox.note_tokens()
    sandbox.received.counts.tokens_made += 1
    return json_reply({"status": 1, "results": {"access_token": token}})


def _may_read(
    request: ProviderRequest, sandbox: Sandbox, endpoint: Endpoint, campaign_id: str | None, moment: Moment
) -> bool:
    token = _query(request).get("access_token", "")
    if not sandbox.account.accepts(token, moment.provider_ms):
        return False
    return sandbox.faults.take_on(DeadToken, endpoint, campaign_id) is None


def _query(request: ProviderRequest) -> dict[str, str]:
    return {name: str(value) for name, value in request.query_params.items()}


async def read_import(request: ProviderRequest) -> SentImport:
    """The body of an import, JSON or a form whose `contacts` is JSON text; never an error."""
    if request.content_type[0] in _FORMS:
        return await _read_form(request)
    body = _decoded(await request.body())
    fields = body if isinstance(body, dict) else {}
    return SentImport(_text(fields.get("access_token")), _contacts(fields.get("contacts")), is_form=False)


async def _read_form(request: ProviderRequest) -> SentImport:
    try:
        form = await request.form()
    except (ValueError, HTTPException):
        return SentImport("", None, is_form=True)
    contacts = _decoded(_text(form.get("contacts")).encode())
    return SentImport(_text(form.get("access_token")), _contacts(contacts), is_form=True)


def _decoded(raw: bytes) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _contacts(value: object) -> list[dict[str, object]] | None:
    if not isinstance(value, list) or not all(isinstance(element, dict) for element in value):
        return None
    return value


def provider_router() -> Router:
    """The provider's calls under `/api`."""
    return Router("/api", route_handlers=[import_contacts, export_campaign, export_account, make_token])
