"""What no good caller sends is refused in the documented words or cut off: never a 5xx, a hang, a trace or an end."""

from __future__ import annotations

import pytest

from app.api.problems import BASE, KINDS, MEDIA_TYPE
from tests.traffic.api_process import AUTHORIZATION, MESSAGE, ApiProcess
from tests.traffic.oddities import CLOSED, KIB, ODDITIES, Odd
from tests.traffic.wire import Answer, chunked, exchange, head, post

_TYPES = {(BASE + kind.slug, kind.status) for kind in KINDS if kind.status < 500}


def assert_documented(answer: Answer) -> None:
    """A problem of the table, that says nothing of the inside; and no answer lets another site's page read it."""
    assert answer.status < 500, answer
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert "server" not in answer.headers
    if answer.status >= 400 and answer.body:
        assert answer.headers["content-type"] == MEDIA_TYPE
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        document = answer.document()
        assert (document["type"], document["status"]) in _TYPES
        assert answer.status == document["status"]
    for inner in (b"Traceback", b".py", b"uvicorn", b"litestar"):
        assert inner not in answer.body.lower()


@pytest.mark.parametrize("odd", ODDITIES, ids=lambda odd: ascii(odd.name)[1:-1][:60])
def test_an_odd_request_is_answered_as_documented_or_cut_off(relay: ApiProcess, odd: Odd) -> None:
    answers = exchange(relay.port, odd.sent)
    for answer in answers:
        assert_documented(answer)
    statuses = tuple(answer.status for answer in answers)
    if odd.in_order:
        assert statuses == odd.statuses
    else:
        assert len(statuses) <= 1
        assert (statuses or (CLOSED,))[0] in odd.statuses


def test_there_is_an_odd_request_for_each_limit() -> None:
    assert len({odd.name for odd in ODDITIES}) == len(ODDITIES) > 120


def test_a_trailer_is_no_header(relay: ApiProcess) -> None:
    """One that were could bring a key past a proxy that looks at headers."""
    open_head = head("POST", "/v1/messages", "Content-Type: application/json", "Transfer-Encoding: chunked")
    [answer] = exchange(relay.port, open_head + chunked(MESSAGE)[:-2] + f"{AUTHORIZATION}\r\n\r\n".encode())
    assert answer.status == 401


def test_a_body_is_not_taken_for_the_next_request(relay: ApiProcess) -> None:
    inner = post(MESSAGE, AUTHORIZATION)
    answers = exchange(relay.port, post(inner, closing=False, path="/nothing") + head("GET", "/livez"))
    assert [answer.status for answer in answers] == [404, 200]


def test_a_refusal_ends_the_connection_and_says_so(relay: ApiProcess) -> None:
    broken = head("GET", "/livez", "A: " + "a" * 64 * KIB, closing=False)
    [answer] = exchange(relay.port, broken + head("GET", "/livez", closing=False))
    assert answer.status == 431
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("path", ("/v1/messages", "/docs", "/readyz", "/nothing"))
def test_no_other_sites_page_may_ask(relay: ApiProcess, path: str) -> None:
    origin = ("Origin: https://evil.example", "Access-Control-Request-Method: GET")
    for method in ("OPTIONS", "GET"):
        for answer in exchange(relay.port, head(method, path, AUTHORIZATION, *origin)):
            assert_documented(answer)
