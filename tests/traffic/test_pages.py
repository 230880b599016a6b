"""The headers that pages and answers carry, so that a browser does nothing with them that was not meant."""

from __future__ import annotations

import pytest

from tests.traffic.api_process import AUTHORIZATION, ApiProcess
from tests.traffic.wire import exchange, head

PAGES = ("/docs", "/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/openapi.json")


@pytest.mark.parametrize("path", PAGES)
def test_pages_allow_nothing_from_elsewhere_and_nothing_inline(relay: ApiProcess, path: str) -> None:
    [page] = exchange(relay.port, head("GET", path))
    rules = dict(rule.strip().split(" ", 1) for rule in page.headers["content-security-policy"].split(";"))
    assert (
        rules["default-src"]
        == rules["frame-ancestors"]
        == rules["base-uri"]
        == rules["form-action"]
        == "'none'"
    )
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert (
        page.headers["cross-origin-opener-policy"]
        == page.headers["cross-origin-resource-policy"]
        == "same-origin"
    )
    assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ("/v1/campaigns", "/v1/events", "/v1/messages?reference=a", "/v1/messages/msg_1")
)
def test_what_stands_under_v1_is_kept_by_no_cache_and_taken_for_nothing_else(
    relay: ApiProcess, path: str
) -> None:
    for key in ((AUTHORIZATION,), ()):
        [answer] = exchange(relay.port, head("GET", path, *key))
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ("/livez", "/readyz", "/metrics", "/nothing"))
def test_every_other_answer_is_taken_for_what_it_says(relay: ApiProcess, path: str) -> None:
    [answer] = exchange(relay.port, head("GET", path))
    assert answer.headers["x-content-type-options"] == "nosniff"
