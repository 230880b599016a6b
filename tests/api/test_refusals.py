"""Each refusal of a request as a whole: its status, its problem document, and that it leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.api.desk import KEYS, NUMBER, UNDER_V1, Api, assert_problem, otp, pointers

JSON = {"content-type": "application/json"}
TAKERS = {"/v1/messages": 64 * 1024, "/v1/messages/batch": 2 * 1024 * 1024, "/v1/callbacks/replay": 64 * 1024}
"""What takes a body, and its most bytes."""

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("nothing_stored")]


@pytest.mark.parametrize("path", TAKERS)
@pytest.mark.parametrize("text", (
    b"", b"{", b"nonsense", b"campaign=login-otp", b"{'campaign': 1}", b"\xff\xfe", b"\xef\xbb\xbf{}",
    b'\xef\xbb\xbf{"a": 1}', b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1, "a": 2}', b"[" * 60_000, b"1" * 5_000,
    b'{"a": ' + b"9" * 5_000 + b"}", b'{"a": "\n"}', b'{"a": "\x01"}', b"{} {}", b'{"a": 1}}',
))  # fmt: skip
async def test_what_is_not_json_is_a_400(api: Api, text: bytes, path: str) -> None:
    assert_problem(await api.ask("POST", path, content=text, headers=JSON), 400, "not-json")


@pytest.mark.parametrize("authorization", (
    None, "", "Bearer", "Bearer no-such-key-anywhere", "Basic Y2hlY2tvdXQ6", KEYS["checkout"],
    f"Bearer {KEYS['checkout']} x", f"Bearer {KEYS['admin']}", "Bearer khóa-0123456789012",
))  # fmt: skip
async def test_everything_under_v1_asks_for_a_clients_key_in_the_same_words(
    api: Api, authorization: str | None
) -> None:
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    said = {(await api.ask("POST", "/v1/messages", of=None, json=otp())).content}
    for method, path in UNDER_V1:
        answer = await api.http.request(method, path, headers=headers, content=b"not json")
        assert_problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
        said.add(answer.content)
    assert len(said) == 1


async def test_two_keys_in_one_request_are_none(api: Api) -> None:
    headers = [("authorization", f"Bearer {KEYS['checkout']}"), ("authorization", "Bearer other")]
    assert_problem(await api.http.get("/v1/campaigns", headers=headers), 401, "unauthorized")


@pytest.mark.parametrize("campaign", ("login-otp", "no-such-campaign", "", "login-otp\n", "\x00"))
async def test_a_campaign_of_others_is_refused_as_one_that_is_not_there(api: Api, campaign: str) -> None:
    refused = await api.post(otp(campaign=campaign), of="notices")
    assert_problem(refused, 403, "forbidden")
    assert refused.content == (await api.post(otp(campaign="none"))).content


async def test_whether_a_campaign_is_allowed_is_told_after_all_faults_of_the_fields(api: Api) -> None:
    answer = await api.post(otp(campaign="no-such-campaign", expires_in=1))
    assert pointers(assert_problem(answer, 422, "invalid-request")) == ["/expires_in"]


@pytest.mark.parametrize("path", (
    "/", "/nothing", "/v1", "/v1/nothing", "/v2/messages", "/v1/messages/msg_none", "/v1/messages/%00",
    "/v1/messages/%FF", "/v1/messages/a:b", "/docs/../app/main.py", "/docs/../main.py", "/docs/nothing.js",
    "/v1/messages/" + "x" * 5000,
))  # fmt: skip
async def test_what_is_not_there_is_a_404(api: Api, path: str) -> None:
    assert_problem(await api.ask("GET", path), 404, "not-found")


@pytest.mark.parametrize(("method", "path", "allowed"), (
    ("PUT", "/v1/messages", {"GET", "POST"}), ("PATCH", "/v1/messages/msg_1", {"GET", "DELETE"}),
    ("GET", "/v1/messages/batch", {"POST"}), ("DELETE", "/v1/messages/batch", {"POST"}),
    ("GET", "/v1/callbacks/replay", {"POST"}), ("POST", "/v1/events", {"GET"}), ("POST", "/livez", {"GET"}),
    ("POST", "/v1/campaigns", {"GET"}),
))  # fmt: skip
async def test_another_method_is_a_405_that_says_which_there_are(
    api: Api, method: str, path: str, allowed: set[str]
) -> None:
    answer = await api.ask(method, path)
    assert_problem(answer, 405, "method-not-allowed")
    assert {one.strip() for one in answer.headers["allow"].split(",")} - {"OPTIONS"} == allowed


async def _chunks(size: int) -> AsyncIterator[bytes]:
    yield b'{"reference": "'
    for _ in range(size // 1000):
        yield b"x" * 1000


@pytest.mark.parametrize(("path", "most"), TAKERS.items())
async def test_a_body_past_its_size_is_a_413_also_when_its_length_is_not_told(
    api: Api, path: str, most: int
) -> None:
    for body in (b" " * (most + 1), _chunks(most + 2000)):
        answer = await api.ask("POST", path, content=body, headers=JSON)
        assert_problem(answer, 413, "body-too-large")


@pytest.mark.parametrize("headers", (
    {}, {"content-type": "text/plain"}, {"content-type": "application/jsonl"},
    {"content-type": "application/x-www-form-urlencoded"}, {"content-type": "application/json; charset=utf-16"},
    {"content-type": "application/json; charset=latin-1"},
    {"content-type": "application/json", "content-encoding": "gzip"},
))  # fmt: skip
@pytest.mark.parametrize("path", TAKERS)
async def test_another_media_type_is_a_415(api: Api, path: str, headers: dict[str, str]) -> None:
    answer = await api.ask("POST", path, content=json.dumps(otp()).encode(), headers=headers)
    assert_problem(answer, 415, "unsupported-media-type")


async def test_an_error_of_ours_is_a_500_without_a_word_of_the_inside(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError(f"inner words of {NUMBER}")

    monkeypatch.setattr("app.api.accepting.read_draft", broken)
    answer = await api.post(otp())
    document = assert_problem(answer, 500, "internal-error")
    assert len(document["fault_id"]) == 12
    for inner in ("Traceback", "KeyError", "inner", ".py"):
        assert inner not in answer.text
