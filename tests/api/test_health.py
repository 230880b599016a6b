"""What watches the service: it needs no key, and tells what is held and what was counted."""

from __future__ import annotations

import pytest

from tests.api.conftest import MakeApi
from tests.api.desk import CODE, Api, otp

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_watches_the_service_needs_no_key(api: Api) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json", "/docs"):
        assert (await api.ask("GET", path, of=None)).status_code == 200
    assert (await api.ask("GET", "/readyz", of=None)).json() == {
        "status": "ready",
        "redis": "ok",
        "notes": [],
    }


async def test_readyz_tells_in_words_what_is_held(api: Api) -> None:
    await api.redis_says("HSET", "relay:{0}:hold:login-otp", "reason", "campaign_stopped", "next", "1")
    answer = await api.ask("GET", "/readyz", of=None)
    assert answer.status_code == 200
    assert "campaign login-otp is held: campaign_stopped" in answer.json()["notes"]


async def test_metrics_count_what_was_accepted_refused_and_waits_and_hold_no_code(make_api: MakeApi) -> None:
    api = await make_api()
    await api.sent()
    await api.post(otp(expires_in=1))
    answer = await api.ask("GET", "/metrics", of=None)
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert 'relay_messages_accepted_total{campaign="login-otp",client="checkout"} 1.0' in lines
    assert 'relay_requests_refused_total{status="422",type="invalid-request"} 1.0' in lines
    assert 'relay_queue_depth{campaign="login-otp"} 1.0' in lines
    assert CODE not in answer.text
