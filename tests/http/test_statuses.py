"""Each refusal of a request as a whole: its status, its problem document, and that it leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.http.desk import NUMBER, Api, assert_problem, otp

JSON = {"content-type": "application/json"}
MOST = 64 * 1024

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("text", (
    b"", b"{", b"nonsense", b"{'campaign': 1}", b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"a": NaN}', b'{"a": 1, "a": 2}',
    b"[" * 30_000, b"1" * 5_000, b'{"a": "\n"}', b"{} {}",
))  # fmt: skip
async def test_what_is_not_json_is_a_400(api: Api, text: bytes) -> None:
    before = await api.keys()
    assert_problem(await api.ask("POST", "/v1/messages", content=text, headers=JSON), 400, "not-json")
    assert await api.keys() == before


@pytest.mark.parametrize("authorization", (
    "", "Bearer", "Bearer no-such-key-anywhere", "Basic Y2hlY2tvdXQ6", "checkout-0123456789abcdef",
    "Bearer checkout-0123456789abcdef x",
))  # fmt: skip
async def test_no_or_an_unknown_key_is_a_401_in_the_same_words(api: Api, authorization: str) -> None:
    before = await api.keys()
    answer = await api.ask(
        "POST", "/v1/messages", of=None, json=otp(), headers={"authorization": authorization}
    )
    assert answer.content == (await api.ask("POST", "/v1/messages", of=None, json=otp())).content
    assert_problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert await api.keys() == before


async def test_two_keys_in_one_request_are_none(api: Api) -> None:
    headers = [("authorization", "Bearer checkout-0123456789abcdef"), ("authorization", "Bearer other")]
    assert_problem(await api.http.get("/v1/campaigns", headers=headers), 401, "unauthorized")


@pytest.mark.parametrize(("method", "path"), (
    ("GET", "/v1/messages?reference=a"), ("GET", "/v1/messages/msg_1"), ("DELETE", "/v1/messages/msg_1"),
    ("POST", "/v1/messages"), ("POST", "/v1/messages/batch"), ("GET", "/v1/campaigns"), ("GET", "/v1/events"),
    ("GET", "/v1/callbacks"), ("POST", "/v1/callbacks/evt_1/replay"), ("POST", "/v1/callbacks/replay"),
))  # fmt: skip
async def test_everything_under_v1_asks_for_a_key(api: Api, method: str, path: str) -> None:
    assert_problem(await api.ask(method, path, of=None), 401, "unauthorized")


@pytest.mark.parametrize("campaign", ("login-otp", "no-such-campaign", "", "login-otp\n", "\x00"))
async def test_a_campaign_of_others_is_refused_as_one_that_is_not_there(api: Api, campaign: str) -> None:
    before = await api.keys()
    assert_problem(await api.post(otp(campaign=campaign), of="notices"), 403, "forbidden")
    assert await api.keys() == before


@pytest.mark.parametrize("path", (
    "/", "/v1", "/v2/messages", "/v1/messages/msg_none", "/v1/messages/%00", "/v1/messages/%FF", "/v1/messages/a:b",
    "/docs/../app/main.py", "/docs/nothing.js", "/v1/messages/" + "x" * 5000,
))  # fmt: skip
async def test_what_is_not_there_is_a_404(api: Api, path: str) -> None:
    assert_problem(await api.ask("GET", path), 404, "not-found")


@pytest.mark.parametrize(("method", "path", "allowed"), (
    ("PUT", "/v1/messages", {"GET", "POST"}), ("PATCH", "/v1/messages/msg_1", {"GET", "DELETE"}),
    ("GET", "/v1/messages/batch", {"POST"}), ("DELETE", "/v1/messages/batch", {"POST"}),
    ("GET", "/v1/callbacks/replay", {"POST"}), ("POST", "/v1/events", {"GET"}), ("POST", "/livez", {"GET"}),
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


async def test_a_body_past_its_size_is_a_413_also_when_its_length_is_not_told(api: Api) -> None:
    before = await api.keys()
    for body in (b" " * (MOST + 1), _chunks(MOST + 2000)):
        assert_problem(
            await api.ask("POST", "/v1/messages", content=body, headers=JSON), 413, "body-too-large"
        )
    for body in (b" " * (2 * 1024 * 1024 + 1), _chunks(2 * 1024 * 1024 + 2000)):
        answer = await api.ask("POST", "/v1/messages/batch", content=body, headers=JSON)
        assert_problem(answer, 413, "body-too-large")
    answer = await api.ask("POST", "/v1/callbacks/replay", content=b" " * (MOST + 1), headers=JSON)
    assert_problem(answer, 413, "body-too-large")
    assert await api.keys() == before


async def test_a_body_of_just_its_size_is_taken(api: Api) -> None:
    body = json.dumps(otp()).encode().ljust(MOST)
    assert (await api.ask("POST", "/v1/messages", content=body, headers=JSON)).status_code == 202


@pytest.mark.parametrize("headers", (
    {}, {"content-type": "text/plain"}, {"content-type": "application/jsonl"},
    {"content-type": "application/x-www-form-urlencoded"}, {"content-type": "application/json; charset=utf-16"},
    {"content-type": "application/json", "content-encoding": "gzip"},
))  # fmt: skip
@pytest.mark.parametrize("path", ("/v1/messages", "/v1/messages/batch", "/v1/callbacks/replay"))
async def test_another_media_type_is_a_415(api: Api, path: str, headers: dict[str, str]) -> None:
    before = await api.keys()
    answer = await api.ask("POST", path, content=json.dumps(otp()).encode(), headers=headers)
    assert_problem(answer, 415, "unsupported-media-type")
    assert await api.keys() == before


@pytest.mark.parametrize(
    "media_type", ("application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"')
)
async def test_json_in_utf_8_may_say_so(api: Api, media_type: str) -> None:
    body = json.dumps(otp()).encode()
    answer = await api.ask("POST", "/v1/messages", content=body, headers={"content-type": media_type})
    assert answer.status_code == 202


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
