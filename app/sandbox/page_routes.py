"""The page and its forms over HTTP. A form answers with a redirect to the page, and is not taken from another site."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, Router, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException, PermissionDeniedException, ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from app.sandbox.fault_board import UnknownFault
from app.sandbox.page import render_page
from app.sandbox.sandbox import Sandbox, now_ms

PageRequest = Request[Any, Any, State]


@get("/", media_type=MediaType.HTML)
async def show_page(sandbox: NamedDependency[Sandbox]) -> Response[str]:
    """The page, with a policy that lets nothing in from elsewhere."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "content-security-policy": policy,
        "cache-control": "no-store",
        "referrer-policy": "same-origin",
    }
    return Response(render_page(sandbox, now_ms(), nonce), headers=headers, media_type=MediaType.HTML)


@post("/page/faults/{name:str}/on")
async def switch_on(request: PageRequest, sandbox: NamedDependency[Sandbox], name: FromPath[str]) -> Redirect:
    """Empty fields stand for the parameters' defaults."""
    form = await request.form()
    params = {field: value for field, value in form.items() if value != ""}
    try:
        sandbox.faults.switch_on(name, params, strict=False)
    except UnknownFault as error:
        raise NotFoundException(str(error)) from error
    except msgspec.ValidationError as error:
        raise ValidationException(str(error)) from error
    return Redirect("/#faults", status_code=303)


@post("/page/faults/{name:str}/off")
async def switch_off(sandbox: NamedDependency[Sandbox], name: FromPath[str]) -> Redirect:
    try:
        sandbox.faults.switch_off(name)
    except UnknownFault as error:
        raise NotFoundException(str(error)) from error
    return Redirect("/#faults", status_code=303)


@post("/page/faults-off")
async def switch_all_off(sandbox: NamedDependency[Sandbox]) -> Redirect:
    sandbox.faults.clear()
    return Redirect("/#faults", status_code=303)


@post("/page/campaigns/{campaign_id:str}/{move:str}")
async def move_campaign(
    sandbox: NamedDependency[Sandbox], campaign_id: FromPath[str], move: FromPath[str]
) -> Redirect:
    campaign = sandbox.campaigns.get(campaign_id)
    if campaign is None or move not in ("stop", "start"):
        raise NotFoundException(f"no campaign {campaign_id!r}, or no move {move!r}")
    if move == "stop":
        sandbox.stop(campaign)
    else:
        sandbox.start(campaign)
    return Redirect("/", status_code=303)


@post("/page/tokens/kill")
async def kill_tokens(sandbox: NamedDependency[Sandbox]) -> Redirect:
    sandbox.kill_tokens()
    return Redirect("/", status_code=303)


@post("/page/reset")
async def reset(sandbox: NamedDependency[Sandbox]) -> Redirect:
    sandbox.reset()
    return Redirect("/", status_code=303)


def from_this_site(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A browser says where a form came from; another site's is refused."""
    if connection.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise PermissionDeniedException("a form of another site")


def page_router() -> Router:
    """The page at `/`, its forms under `/page`."""
    forms = Router(
        "/",
        guards=[from_this_site],
        route_handlers=[switch_on, switch_off, switch_all_off, move_campaign, kill_tokens, reset],
    )
    return Router("/", route_handlers=[show_page, forms])
