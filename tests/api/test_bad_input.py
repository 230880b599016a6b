"""What is refused: with the contract's status, every fault at once, no value repeated and nothing stored."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.caller import ADMIN, CHECKOUT, SHOP, Api, body, faults_of

RAW = {"content-type": "application/json"}


@pytest.fixture(autouse=True)
async def nothing_stored(redis: Any, api: Api) -> AsyncIterator[None]:
    """Holds for every test here: Redis has no key more than before."""
    before = sorted(await redis.keys("*"))
    yield
    assert sorted(await redis.keys("*")) == before


async def test_all_faults_of_a_body_are_told_at_once_each_with_its_pointer(api: Api) -> None:
    answer = await api.send(
        {
            "campaign": "login-otp", "phone_number": 901234567, "otp_code": 4217, "nickname": "x", "a/b~c": 1,
            "variables": {"otp_code": "x", "ho_ten": 1, "1st": "x"}, "callback_url": "https://elsewhere.example/x",
            "expires_in": 5.0, "expires_at": "tomorrow", "reference": "r" * 129,
            "metadata": {"session": ["c0ffee"]},
        }
    )  # fmt: skip
    assert set(faults_of(answer)) == {
        "/phone_number", "/otp_code", "/nickname", "/a~1b~0c", "/variables/otp_code", "/variables/ho_ten",
        "/variables/1st", "/callback_url", "/expires_in", "/expires_at", "/reference", "/metadata/session",
    }  # fmt: skip


@pytest.mark.parametrize(
    "code",
    (
        4217,
        "000000",
        "00421",
        "0042170",
        "004217\n",
        "\uff10\uff10\uff14\uff12\uff11\uff17",
        "٠٠٤٢١٧",
        " 04217",
        True,
        ["004217"],
    ),
)
async def test_a_code_is_a_string_of_six_ascii_digits(api: Api, code: object) -> None:
    answer = await api.send(body(otp_code=code))
    assert list(faults_of(answer)) == ["/otp_code"]
    assert "4217" not in answer.text


@pytest.mark.parametrize(
    "number",
    (
        "090123456",
        "\uff10901234567",
        "٠٩٠١٢٣٤٥٦٧",
        "0901234567\n",
        "+14155550100",
        "113",
        "19001234",
        "",
        "0901234567x",
        901234567,
        {"number": "0901234567"},
    ),
)
async def test_a_number_is_a_valid_one_of_an_allowed_region_in_ascii_digits(api: Api, number: object) -> None:
    answer = await api.send(body(phone_number=number))
    assert list(faults_of(answer)) == ["/phone_number"]
    assert "901234567" not in answer.text


@pytest.mark.parametrize(
    ("changes", "pointer"),
    (
        ({"phone_number": None}, "/phone_number"),
        ({"otp_code": None}, "/otp_code"),
        ({"campaign": None}, "/campaign"),
        ({"campaign": 7}, "/campaign"),
        ({"campaign": "order-notice"}, "/otp_code"),
        ({"variables": ["a"]}, "/variables"),
        ({"variables": {"ho ten": "x"}}, "/variables/ho ten"),
        ({"variables": {"a" * 41: "x"}}, "/variables/" + "a" * 41),
        ({"variables": {"access_token": "x"}}, "/variables/access_token"),
        ({"variables": {"ho_ten": "x" * 257}}, "/variables/ho_ten"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "/metadata"),
        ({"metadata": {"k": "x" * 257}}, "/metadata/k"),
        ({"metadata": {"k": {"deep": "x"}}}, "/metadata/k"),
        ({"reference": 7}, "/reference"),
        ({"expires_in": 4}, "/expires_in"),
        ({"expires_in": 86_401}, "/expires_in"),
        ({"expires_in": True}, "/expires_in"),
        ({"expires_in": "120"}, "/expires_in"),
        ({"callback_url": "https://checkout.internal.evil.example/"}, "/callback_url"),
        ({"callback_url": "https://user:pw@checkout.internal/"}, "/callback_url"),
        ({"callback_url": "http://checkout.internal/"}, "/callback_url"),
        ({"callback_url": ""}, "/callback_url"),
        ({"expires_in": None, "expires_at": "2026-11-24T03:00:00"}, "/expires_at"),
        ({"expires_in": None, "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_in": None, "expires_at": "9999-12-31T23:59:59Z"}, "/expires_at"),
        ({"expires_in": None, "expires_at": "0001-01-01T00:00:00+14:00"}, "/expires_at"),
        ({"expires_in": None, "expires_at": "2026-02-30T00:00:00Z"}, "/expires_at"),
        ({"expires_in": None, "expires_at": 1795557526}, "/expires_at"),
        ({"otp_codes": "004217"}, "/otp_codes"),
    ),
)
async def test_each_rule_of_a_field_broken_alone_is_told_alone(
    api: Api, changes: dict[str, object], pointer: str
) -> None:
    assert list(faults_of(await api.send(body(**changes)))) == [pointer]


async def test_an_expiry_is_given_one_way_only(api: Api) -> None:
    at = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    assert list(faults_of(await api.send(body(expires_at=at)))) == ["/expires_at"]


@pytest.mark.parametrize("sent", ([], "text", 7, None, True))
async def test_a_body_that_is_no_object_is_at_fault_as_a_whole(api: Api, sent: object) -> None:
    answer = await api.ask("POST", "/v1/messages", content=json.dumps(sent), headers=RAW)
    assert "" in faults_of(answer)


@pytest.mark.parametrize(
    "raw",
    (
        b"", b"{", b"campaign=login-otp", b'{"a": NaN}', b'{"a": Infinity}', b"\xff\xfe", b'{"a": 1, "a": 2}',
        b"[" * 60_000, b'{"a": ' + b"9" * 5000 + b"}",
        b'\xef\xbb\xbf{"a": 1}', b"{'a': 1}", b'{"a": 1}}', b'{"a": "\x01"}',
    ),
)  # fmt: skip
async def test_what_is_not_json_gets_400(api: Api, raw: bytes) -> None:
    for path in ("/v1/messages", "/v1/messages/batch"):
        answer = await api.ask("POST", path, content=raw, headers=RAW)
        assert answer.status_code == 400
        assert answer.json()["type"].endswith("/not-json")


@pytest.mark.parametrize("field", ("reference", "phone_number", "campaign", "callback_url", "otp_code"))
async def test_half_a_surrogate_pair_is_refused_where_it_stands(api: Api, field: str) -> None:
    raw = json.dumps(body(**{field: "\ud800"}))
    answer = await api.ask("POST", "/v1/messages", content=raw, headers=RAW)
    assert list(faults_of(answer)) == [f"/{field}"]


async def test_a_name_that_cannot_be_written_is_refused_without_a_fault_of_ours(api: Api) -> None:
    raw = b'{"metadata": {"\\ud800": "x"}, "\\udfff": 1}'
    answer = await api.ask("POST", "/v1/messages", content=raw, headers={**RAW, "idempotency-key": "k"})
    assert {"/metadata/?", "/?"} <= set(faults_of(answer))


@pytest.mark.parametrize(
    "headers",
    (
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ),
)
async def test_another_media_type_gets_415(api: Api, headers: dict[str, str]) -> None:
    answer = await api.ask("POST", "/v1/messages", content=b"{}", headers=headers)
    assert answer.status_code == 415
    assert answer.json()["type"].endswith("/unsupported-media-type")


@pytest.mark.parametrize(
    ("path", "most"), (("/v1/messages", 64 * 1024), ("/v1/messages/batch", 2 * 1024 * 1024))
)
async def test_a_body_over_the_limit_gets_413_also_when_no_length_is_told(
    api: Api, path: str, most: int
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(most // 1024 + 1):
            yield b" " * 1024

    for content in (b" " * (most + 1), endless()):
        answer = await api.ask("POST", path, content=content, headers=RAW)
        assert answer.status_code == 413
        assert answer.json()["type"].endswith("/body-too-large")


@pytest.mark.parametrize("key", (None, "", "wrong-key-0123456789", ADMIN, "khóa-0123456789012"))
async def test_without_a_clients_key_everything_under_v1_gets_the_same_401(api: Api, key: str | None) -> None:
    headers = [] if key is None else [(b"authorization", f"Bearer {key}".encode())]
    said = set()
    for method, path in (
        ("POST", "/v1/messages"), ("POST", "/v1/messages/batch"), ("GET", "/v1/messages/msg_x"),
        ("GET", "/v1/messages?reference=x"), ("DELETE", "/v1/messages/msg_x"), ("GET", "/v1/campaigns"),
        ("GET", "/v1/events"), ("GET", "/v1/callbacks?state=dead"), ("POST", "/v1/callbacks/evt_x/replay"),
        ("POST", "/v1/callbacks/replay"),
    ):  # fmt: skip
        answer = await api.http.request(method, path, headers=headers, content=b"not json")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
        said.add(answer.text)
    assert len(said) == 1


async def test_anothers_campaign_and_an_unknown_one_get_the_same_403_after_all_other_faults(api: Api) -> None:
    texts = set()
    for campaign in ("order-notice", "no-such-campaign"):
        answer = await api.send(body(campaign=campaign, callback_url=None), key=SHOP)
        assert answer.status_code == 403
        texts.add(answer.text)
    assert len(texts) == 1
    assert list(faults_of(await api.send(body(campaign="no-such-campaign", expires_in=1)))) == ["/expires_in"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    (
        ("PUT", "/v1/messages", "POST"),
        ("GET", "/v1/messages/batch", "POST"),
        ("POST", "/v1/campaigns", "GET"),
    ),
)
async def test_another_method_gets_405_and_is_told_which_there_are(
    api: Api, method: str, path: str, allow: str
) -> None:
    answer = await api.ask(method, path)
    assert answer.status_code == 405
    assert allow in answer.headers["allow"]
    assert answer.headers["content-type"] == "application/problem+json"


async def test_what_is_not_there_gets_404_as_a_problem(api: Api) -> None:
    for path in ("/nothing", "/v1/nothing", "/v1/messages/msg_nothing", "/docs/../main.py"):
        answer = await api.ask("GET", path)
        assert answer.status_code == 404
        assert answer.json()["type"].endswith("/not-found")


@pytest.mark.parametrize("key", ("", "k" * 256, "khóa", "a\tb"))
async def test_an_idempotency_key_is_1_to_255_visible_characters(api: Api, key: str) -> None:
    headers = [
        (b"authorization", f"Bearer {CHECKOUT}".encode()),
        (b"idempotency-key", key.encode()),
    ]
    answer = await api.http.post("/v1/messages", json=body(), headers=headers)
    assert answer.status_code == 422


@pytest.mark.parametrize("count", (0, 1001))
async def test_a_batch_of_none_or_too_many_is_refused_whole(api: Api, count: int) -> None:
    answer = await api.ask("POST", "/v1/messages/batch", json={"messages": [{}] * count})
    assert list(faults_of(answer)) == ["/messages"]


@pytest.mark.parametrize(
    "query",
    (
        "", "?reference=a&phone_number=0901234567", "?reference=a&limit=0", "?reference=a&limit=101",
        "?reference=a&limit=x", "?reference=a&cursor=x", "?reference=a&cursor=1%0A", "?reference=a&other=1",
        "?phone_number=12", "?reference=a&limit=" + "1" * 20,
    ),
)  # fmt: skip
async def test_a_list_is_asked_for_rightly_or_not_at_all(api: Api, query: str) -> None:
    answer = await api.ask("GET", f"/v1/messages{query}")
    assert answer.status_code == 422, answer.text


async def test_a_replay_names_a_time_with_its_zone_and_a_state(api: Api) -> None:
    answer = await api.ask(
        "POST", "/v1/callbacks/replay", json={"since": "yesterday", "state": "x", "more": 1}
    )
    assert set(faults_of(answer)) == {"/since", "/state", "/more"}
