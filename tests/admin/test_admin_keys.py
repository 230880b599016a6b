"""An admin key opens /v1/admin and nothing else, and nothing else opens that."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

import pytest

from app.api.authentication import Keys
from app.api.problems import Problem
from app.intake.callers import callers_of
from tests.api.desk import KEYS, UNDER_V1, Api, assert_problem, config_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNDER_ADMIN = (
    ("GET", "/v1/admin/campaigns"), ("POST", "/v1/admin/campaigns/login-otp/pause"),
    ("POST", "/v1/admin/campaigns/login-otp/drain"), ("POST", "/v1/admin/campaigns/login-otp/resume"),
    ("GET", "/v1/admin/messages?state=queued"), ("GET", "/v1/admin/messages/msg_1"),
    ("GET", "/v1/admin/callbacks"), ("POST", "/v1/admin/callbacks/evt_1/replay"),
    ("POST", "/v1/admin/callbacks/replay"), ("GET", "/v1/admin/actions"),
)  # fmt: skip
"""Each operation that asks for an admin key, once."""


async def test_the_list_of_operations_is_whole(api: Api) -> None:
    paths = (await api.ask("GET", "/openapi.json", of=None)).json()["paths"]
    asked = {
        (method.upper(), path)
        for path, item in paths.items()
        for method, operation in item.items()
        if operation.get("security") == [{"adminKey": []}]
    }
    assert len(asked) == len(UNDER_ADMIN)
    assert all(path.startswith("/v1/admin/") for _, path in asked)
    assert all(
        not path.startswith("/v1/admin") or (m.upper(), path) in asked for path in paths for m in paths[path]
    )


async def test_a_clients_key_is_told_the_same_as_an_unknown_one(api: Api) -> None:
    before = await api.keys()
    for method, path in UNDER_ADMIN:
        answers = [
            await api.ask(method, path, of=None, headers={} if key is None else {"authorization": key})
            for key in (
                f"Bearer {KEYS['checkout']}",
                "Bearer nobody-0123456789abcdef",
                f"Bearer {KEYS['admin'][:-1]}",
                f"Bearer {KEYS['admin']}x",
                f"Bearer {hashlib.sha256(KEYS['admin'].encode()).hexdigest()}",
                f"Basic {KEYS['admin']}",
                None,
            )
        ]
        for answer in answers:
            assert_problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
        assert len({answer.content for answer in answers}) == 1
    assert await api.keys() == before


async def test_an_admin_key_is_told_on_clients_routes_what_an_unknown_one_is(api: Api) -> None:
    for method, path in UNDER_V1:
        answers = [
            await api.ask(method, path, of=None, headers={"authorization": f"Bearer {key}"})
            for key in (KEYS["admin"], "nobody-0123456789abcdef")
        ]
        for answer in answers:
            assert_problem(answer, 401, "unauthorized")
        assert answers[0].content == answers[1].content


async def test_the_key_is_looked_at_before_anything_else_of_a_request(api: Api) -> None:
    for method, path in UNDER_ADMIN:
        answer = await api.ask(method, f"{path.partition('?')[0]}?nonsense=1", content=b"{")
        assert_problem(answer, 401, "unauthorized")


async def test_every_digest_is_compared_whosever_key_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of("redis://unused")
    keys, compared = Keys(callers_of(config), config.admin.api_keys), list[bytes]()

    def compare(known: bytes, sent: bytes) -> bool:
        compared.append(known)
        return known == sent

    monkeypatch.setattr("app.api.authentication.hmac.compare_digest", compare)
    of_all = {digest for one in config.clients.values() for digest in one.api_keys} | set(
        config.admin.api_keys
    )
    for ask in (keys.caller, keys.operator):
        for key in (*KEYS.values(), "nobody-0123456789abcdef"):
            compared.clear()
            _tell(ask, key)
            assert len(compared) == len(of_all)
            assert set(compared) == of_all


def _tell(ask: Any, key: str) -> None:
    with contextlib.suppress(Problem):
        ask([(b"authorization", f"Bearer {key}".encode())])


async def test_with_no_admin_key_configured_nobody_is_an_operator() -> None:
    config = config_of("redis://unused")
    keys = Keys(callers_of(config))
    with pytest.raises(Problem):
        keys.operator([(b"authorization", f"Bearer {KEYS['admin']}".encode())])
