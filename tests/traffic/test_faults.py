"""Whatever fails inside, nothing of the inside leaves; and no caller makes the metrics grow."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.api.health import _HOLDS
from app.api.problems import KINDS
from tests.api.desk import KEYS, config_of, open_caller, otp
from tests.traffic.api_process import AUTHORIZATION, ApiProcess
from tests.traffic.nonsense import nonsense_redis
from tests.traffic.wire import exchange, head, post

INNER = ("Traceback", ".py", "Error(", "line ", "redis.", "asyncio", "127.0.0.1", "NONSENSE")
ASKED = (("POST", "/v1/messages"), ("GET", "/v1/messages/msg_1"), ("GET", "/v1/events"), ("GET", "/readyz"))
NONSENSE = {
    "a number": b":5\r\n",
    "an error": b"-NONSENSE of the inside\r\n",
    "not Redis": b"HTTP/1.1 400 NONSENSE\r\n\r\n",
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_a_redis_that_answers_nonsense_gives_no_trace_away(name: str) -> None:
    key = {"authorization": f"Bearer {KEYS['checkout']}"}
    async with nonsense_redis(NONSENSE[name]) as url, open_caller(config_of(url)) as caller:
        for method, path in ASKED:
            answer = await caller.http.request(
                method, path, headers=key, json=otp() if method == "POST" else None
            )
            assert answer.headers["content-type"].partition(";")[0] in (
                "application/json", "application/problem+json", "text/plain"
            )  # fmt: skip
            assert not [inner for inner in INNER if inner in answer.text], answer.text
            if answer.status_code >= 500 and path.startswith("/v1"):
                assert answer.json()["type"].rpartition("/")[2] in {
                    "internal-error",
                    "unavailable",
                    "outcome-unknown",
                }


def test_no_caller_can_make_a_new_series_of_metrics(relay: ApiProcess) -> None:
    for index in range(20):
        name = f"made-up-{index}"
        for odd in (
            head("GET", f"/{name}"), head(f"X{name}", "/livez"), head("GET", f"/v1/messages/{name}", AUTHORIZATION),
            post(b'{"campaign": "%b", "phone_number": "0901234567"}' % name.encode(), AUTHORIZATION),
            head("GET", "/v1/campaigns", f"Authorization: Bearer {name}"),
        ):  # fmt: skip
            exchange(relay.port, odd)
    [answer] = exchange(relay.port, head("GET", "/metrics"))
    labels = {
        text
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
        for label, text in sample.labels.items()
        if label != "le"
    }
    configured = {"checkout", "delivery", "notices", "login-otp", "order-notice", "main"}
    told = {kind.slug for kind in KINDS} | {str(kind.status) for kind in KINDS}
    assert labels <= configured | told | set(_HOLDS) | {"metrics"}
