"""Between a provider call and its client: what befalls the connection before or after the work is done.

Decides whether the work is done at all, and what becomes of its answer; never looks into either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from app.sandbox.fault_board import FaultBoard
from app.sandbox.faults import (
    Endpoint,
    ErrorAfter,
    ErrorBefore,
    GarbageBody,
    HalfBody,
    Hang,
    RateLimited,
    ResetAfter,
    ResetBefore,
    Slow,
    StrangeBody,
    TooLarge,
    When,
)
from app.sandbox.replies import Delivery, Reply, html_error
from app.sandbox.sandbox import Moment, Sandbox

Work = Callable[[Moment], Reply]

GARBAGE = b'\x00\xff<!doctype html>{"status": 1, "results": '


STRANGE = {"object": b'{"ok": true}', "list": b"[]", "no_results": b'{"status": 1}'}


@dataclass
class Exchange:
    """One request to the provider: which call, of which campaign, with how many contacts; `struck` names faults."""

    endpoint: Endpoint
    campaign: str | None = None
    contacts: int = 0
    struck: list[str] = field(default_factory=list)


async def answer(sandbox: Sandbox, exchange: Exchange, work: Work) -> Reply:
    """The reply to one request. `work` is done once, or, where a fault strikes before it, not at all."""
    faults = sandbox.faults
    await _delay(faults, exchange, "before")
    broken = _break_before(faults, exchange)
    moment = sandbox.moment()
    if broken is not None:
        return broken.dated(moment.provider_ms)
    reply = work(moment)
    await _delay(faults, exchange, "after")
    return _break_after(faults, exchange, reply).dated(moment.provider_ms)


async def _delay(faults: FaultBoard, exchange: Exchange, when: When) -> None:
    slow = faults.peek(Slow, exchange.campaign)
    if slow is None or slow.when != when:
        return
    if faults.take_on(Slow, exchange.endpoint, exchange.campaign):
        exchange.struck.append("slow")
        await asyncio.sleep(slow.delay_ms / 1000)


def _break_before(faults: FaultBoard, exchange: Exchange) -> Reply | None:
    endpoint, campaign = exchange.endpoint, exchange.campaign
    if _hangs(faults, exchange, "before"):
        return Reply(delivery=Delivery.NEVER)
    if faults.take_on(ResetBefore, endpoint, campaign):
        exchange.struck.append("reset_before")
        return Reply(delivery=Delivery.RESET)
    error = faults.take_on(ErrorBefore, endpoint, campaign)
    if error:
        exchange.struck.append("error_before")
        return html_error(error.status)
    limited = faults.take_on(RateLimited, endpoint, campaign)
    if limited:
        exchange.struck.append("rate_limited")
        return _too_many(limited)
    return _too_large(faults, exchange)


def _break_after(faults: FaultBoard, exchange: Exchange, reply: Reply) -> Reply:
    endpoint, campaign = exchange.endpoint, exchange.campaign
    if _hangs(faults, exchange, "after"):
        return replace(reply, delivery=Delivery.NEVER)
    if faults.take_on(ResetAfter, endpoint, campaign):
        exchange.struck.append("reset_after")
        return replace(reply, delivery=Delivery.RESET)
    error = faults.take_on(ErrorAfter, endpoint, campaign)
    if error:
        exchange.struck.append("error_after")
        return html_error(error.status)
    if faults.take_on(GarbageBody, endpoint, campaign):
        exchange.struck.append("garbage_body")
        return replace(reply, status=200, body=GARBAGE)
    strange = faults.take_on(StrangeBody, endpoint, campaign)
    if strange:
        exchange.struck.append("strange_body")
        return replace(reply, status=200, body=STRANGE[strange.shape])
    if faults.take_on(HalfBody, endpoint, campaign):
        exchange.struck.append("half_body")
        return replace(reply, delivery=Delivery.HALF)
    return reply


def _hangs(faults: FaultBoard, exchange: Exchange, when: When) -> bool:
    hang = faults.peek(Hang, exchange.campaign)
    if hang is None or hang.when != when:
        return False
    strikes = faults.take_on(Hang, exchange.endpoint, exchange.campaign) is not None
    if strikes:
        exchange.struck.append("hang")
    return strikes


def _too_many(limited: RateLimited) -> Reply:
    after_s = limited.retry_after_s
    headers = ((b"retry-after", str(after_s).encode()),) if after_s is not None else ()
    return replace(html_error(429), headers=headers)


def _too_large(faults: FaultBoard, exchange: Exchange) -> Reply | None:
    limit = faults.peek(TooLarge, exchange.campaign)
    if limit is None or exchange.endpoint != "import" or exchange.contacts <= limit.above:
        return None
    faults.take(TooLarge, exchange.campaign)
    exchange.struck.append("too_large")
    return html_error(413)
