"""The fields of any limit are structured fields, in whole numbers that promise too little rather than too much."""

from __future__ import annotations

import pytest

from app.api.rate_headers import accepted_headers, limited_problem
from app.config.value import rate as rate_of
from app.store.messages import Limited
from tests.limits.fields import items


@pytest.mark.parametrize(
    "written", ("1/24h", "5/10m", "100000/s", "3/100ms", "7/2500ms", "1000000/744h", "1000000/1ms")
)
def test_the_fields_promise_too_little_rather_than_too_much(
    written: str,
) -> None:
    rate = rate_of(written)
    period_ms = round(rate.period.total_seconds() * 1000)
    policy = items(accepted_headers(rate, rate.burst - 1, 1)["ratelimit-policy"])
    assert policy["client"]["q"] == rate.burst
    assert policy["client"]["w"] * 1000 >= period_ms > (policy["client"]["w"] - 1) * 1000
    for wait_ms in (1, 999, 1000, 1001, period_ms):
        headers = limited_problem(Limited("number", wait_ms, rate.burst, period_ms)).headers
        found = items(headers["ratelimit"])["number"]
        assert found["r"] == 0
        assert found["t"] == int(headers["retry-after"]) == -(-wait_ms // 1000)


@pytest.mark.parametrize(
    "field", ("client;q=1", '"client"; q=1.5', '"client";Q=1', '"client";q="1"', '"client",', "", '"a" "b"')
)
def test_a_field_that_is_not_structured_so_is_not_read(field: str) -> None:
    with pytest.raises(AssertionError):
        items(field)
    assert items('"client";q=1;w=2, "number";q=3') == {"client": {"q": 1, "w": 2}, "number": {"q": 3}}
