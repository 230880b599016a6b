"""Whose key a request bears: what opens, and what does not, in the same words and the same time."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import httpx
import pytest

from app.api.authentication import Keys
from app.api.problems import Problem
from app.cli.keygen import digest_of, new_api_key
from app.config import ConfigError, parse_config
from app.intake.callers import callers_of
from tests.api.conftest import MakeApi
from tests.api.desk import KEYS, Api, assert_problem, config_of, config_text, otp

in_one_loop = pytest.mark.asyncio(loop_scope="module")

KEY = KEYS["checkout"]
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()

REFUSED: dict[str, Sequence[bytes]] = {
    "nothing": [],
    "an empty header": [b""],
    "the scheme alone": [b"Bearer"],
    "another key": [b"Bearer delivery-0123456789abcdeX"],
    "a key cut by one": [f"Bearer {KEY[:-1]}".encode()],
    "a key without its first": [f"Bearer {KEY[1:]}".encode()],
    "a key extended by one": [f"Bearer {KEY}0".encode()],
    "a key in capitals": [f"Bearer {KEY.upper()}".encode()],
    "its digest": [f"Bearer {DIGEST}".encode()],
    "its digest as the file has it": [f"Bearer sha256:{DIGEST}".encode()],
    "its digest in base64": [b"Bearer " + base64.b64encode(bytes.fromhex(DIGEST))],
    "no scheme": [KEY.encode()],
    "the scheme Basic": [f"Basic {KEY}".encode()],
    "the scheme Token": [f"Token {KEY}".encode()],
    "a scheme that begins so": [f"BearerX {KEY}".encode()],
    "a scheme that ends so": [f"XBearer {KEY}".encode()],
    "a tab for the space": [f"Bearer\t{KEY}".encode()],
    "a tab behind the space": [f"Bearer \t{KEY}".encode()],
    "a no-break space": [f"Bearer\xa0{KEY}".encode("latin-1")],
    "a no-break space around it": [f"Bearer \xa0{KEY}\xa0".encode("latin-1")],
    "two keys with a comma": [f"Bearer {KEY}, Bearer {KEY}".encode()],
    "two words": [f"Bearer {KEY} {KEY}".encode()],
    "in quotes": [f'Bearer "{KEY}"'.encode()],
    "as a parameter": [f"Bearer token={KEY}".encode()],
    "letters of Vietnam": ["Bearer khóa-0123456789012".encode()],
    "bytes that are no text": [b"Bearer \xff\xfe\xfd0123456789abcdef"],
    "a very long one": [b"Bearer " + KEY.encode() * (24 * 1024 // len(KEY))],
    "two headers, the first one right": [f"Bearer {KEY}".encode(), b"Bearer another-one"],
    "two headers, the last one right": [b"Bearer another-one", f"Bearer {KEY}".encode()],
    "two headers, both right": [f"Bearer {KEY}".encode(), f"Bearer {KEY}".encode()],
    "an admin's key": [f"Bearer {KEYS['admin']}".encode()],
}


@in_one_loop
@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED)
async def test_what_is_no_clients_key_is_refused_in_the_same_bytes(api: Api, sent: Sequence[bytes]) -> None:
    plain = await api.ask("POST", "/v1/messages", of=None, json=otp())
    answer = await api.http.post(
        "/v1/messages", headers=[(b"authorization", value) for value in sent], json=otp()
    )
    assert_problem(answer, 401, "unauthorized")
    assert answer.content == plain.content
    assert _undated(answer) == _undated(plain)


def _undated(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "date"}


@in_one_loop
@pytest.mark.parametrize("scheme", ("Bearer", "bearer", "BEARER", "Bearer "))
async def test_the_scheme_is_read_as_the_standard_has_it(api: Api, scheme: str) -> None:
    answer = await api.http.get("/v1/campaigns", headers={"authorization": f"{scheme} {KEY}"})
    assert answer.status_code == 200


@in_one_loop
async def test_each_of_a_clients_keys_opens_and_each_of_another_opens_that_ones(make_api: MakeApi) -> None:
    old, new, others = new_api_key(), new_api_key(), new_api_key()
    api = await make_api(
        checkout=f'api_keys = ["{digest_of(old)}", "{digest_of(new)}"]',
        notices=f'api_keys = ["{_in_capitals(digest_of(others))}"]',
    )
    seen = []
    for key in (old, new, others):
        answer = await api.http.get("/v1/campaigns", headers={"authorization": f"Bearer {key}"})
        seen.append([one["name"] for one in answer.json()["data"]])
    assert seen == [["login-otp", "order-notice"], ["login-otp", "order-notice"], ["order-notice"]]


def _in_capitals(digest: str) -> str:
    return f"sha256:{digest.removeprefix('sha256:').upper()}"


def test_the_digest_of_nothing_is_not_taken_for_a_key() -> None:
    text = config_text("redis://localhost").replace(DIGEST, hashlib.sha256(b"").hexdigest())
    with pytest.raises(ConfigError, match="digest of an empty text"):
        parse_config(text, file="relay.toml", env={})


def test_no_key_opens_nothing_also_where_the_digest_of_nothing_is_configured() -> None:
    config = config_of("redis://localhost")
    careless = replace(config.clients["checkout"], api_keys=(hashlib.sha256(b"").digest(),))
    keys = Keys(callers_of(replace(config, clients={"checkout": careless})))
    for sent in ([], [b""], [b"Bearer "], [b"Bearer"], [b"Basic x"]):
        with pytest.raises(Problem):
            keys.caller([(b"authorization", value) for value in sent])


def _keys_of_many(count: int) -> Keys:
    """`count` digests of nobody between the first, which is `first`'s, and the last, which is `last`'s."""
    config = config_of("redis://localhost")
    client = config.clients["checkout"]
    digests = [hashlib.sha256(str(n).encode()).digest() for n in range(count)]
    ends = [hashlib.sha256(name).digest() for name in (b"first", b"last")]
    many = replace(client, api_keys=(ends[0], *digests, ends[1]))
    return Keys(callers_of(replace(config, clients={"checkout": many})))


def _asks(keys: Keys, sent: Sequence[bytes]) -> None:
    with contextlib.suppress(Problem):
        keys.caller([(b"authorization", value) for value in sent])


ASKED: dict[str, Sequence[bytes]] = {
    **REFUSED,
    "the scheme and a space": [b"Bearer "],
    "64 KiB": [b"Bearer " + b"k" * 64 * 1024],
    "the first key": [b"Bearer first"],
    "the last key": [b"Bearer last"],
}


@pytest.mark.parametrize("sent", ASKED.values(), ids=ASKED)
def test_every_digest_is_compared_whatever_was_sent(
    sent: Sequence[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = _keys_of_many(50)
    compared: list[int] = []
    compare = hmac.compare_digest

    def counted(known: bytes, digest: bytes) -> bool:
        compared.append(len(digest))
        return compare(known, digest)

    monkeypatch.setattr("app.api.authentication.hmac.compare_digest", counted)
    _asks(keys, sent)
    assert compared == [32] * 52


def test_the_time_of_an_answer_does_not_tell_how_far_a_key_was_compared() -> None:
    """The first of 5,000 keys, the last, a wrong one and none: one that stops would be a thousand times quicker."""
    keys = _keys_of_many(5_000)
    asked = {name: ASKED[name] for name in ("the first key", "the last key", "another key", "nothing")}
    took: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(31):
        for name, sent in asked.items():
            began = time.perf_counter()
            _asks(keys, sent)
            took[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(each) for name, each in took.items()}
    assert max(medians.values()) < 2 * min(medians.values()), medians
