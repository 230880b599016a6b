"""Signatures, checked against libraries that are not ours."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook

from app.callbacks.signing import (
    SignatureFault,
    Signer,
    SigningKeyFault,
    check_signing_key,
    generate_key_pair,
    generate_secret,
    verify,
)
from app.secret import Secret

BODY = '{"type":"message.answered","data":{"ho_ten":"Nguyễn Văn A"}}'.encode()
NOW_S = 1_760_000_000
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def signed(*keys: str, at_s: int = NOW_S, body: bytes = BODY) -> dict[str, str]:
    return Signer([Secret.of(key) for key in keys]).headers("evt_1", at_s, body)


def test_the_vector_of_the_standard_webhooks_libraries_comes_out() -> None:
    headers = Signer([Secret.of(VECTOR_SECRET)]).headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_standardwebhooks_library_verifies_each_of_several_secrets() -> None:
    keys = [generate_secret(), generate_secret()]
    headers = signed(*keys, at_s=int(datetime.now(UTC).timestamp()))
    for key in keys:
        Webhook(key).verify(BODY, headers)
    assert headers["webhook-signature"].count("v1,") == 2


def test_cryptography_verifies_an_asymmetric_signature_by_the_public_key_alone() -> None:
    private, public = generate_key_pair()
    headers = signed(private)
    version, encoded = headers["webhook-signature"].split(",")
    assert version == "v1a"
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    key.verify(base64.b64decode(encoded), f"evt_1.{NOW_S}.".encode() + BODY)


def test_a_seed_of_32_bytes_signs_as_the_whole_key_of_64() -> None:
    private, public = generate_key_pair()
    raw = base64.b64decode(private.removeprefix("whsk_"))
    seed = "whsk_" + base64.b64encode(raw[:32]).decode()
    assert signed(seed) == signed(private)
    verify([public], signed(seed), BODY, now_s=NOW_S)


def test_signatures_of_both_kinds_stand_side_by_side_in_the_order_of_the_secrets() -> None:
    private, public = generate_key_pair()
    symmetric = generate_secret()
    headers = signed(symmetric, private)
    assert [part.split(",")[0] for part in headers["webhook-signature"].split(" ")] == ["v1", "v1a"]
    for key in (symmetric, private, public, Secret.of(symmetric)):
        verify([key], headers, BODY, now_s=NOW_S)


def test_any_known_key_of_several_is_enough() -> None:
    key = generate_secret()
    verify([generate_secret(), generate_key_pair()[1], key], signed(key), BODY, now_s=NOW_S)


def test_names_of_headers_count_in_any_case() -> None:
    key = generate_secret()
    verify([key], {name.title(): value for name, value in signed(key).items()}, BODY, now_s=NOW_S)


@pytest.mark.parametrize("part", ("webhook-id", "webhook-timestamp", "webhook-signature"))
def test_a_header_that_is_missing_is_a_fault(part: str) -> None:
    key = generate_secret()
    headers = signed(key)
    del headers[part]
    with pytest.raises(SignatureFault, match=part):
        verify([key], headers, BODY, now_s=NOW_S)


@pytest.mark.parametrize(
    "changed",
    (
        {"webhook-id": "evt_2"},
        {"webhook-timestamp": str(NOW_S + 1)},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"webhook-signature": "nonsense ü , ,, v1"},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "٣"},
        {"webhook-timestamp": "9" * 5000},
    ),
)
@pytest.mark.parametrize("key", (generate_secret(), generate_key_pair()[0]), ids=("whsec", "whsk"))
def test_a_changed_header_is_a_fault(changed: dict[str, str], key: str) -> None:
    with pytest.raises(SignatureFault):
        verify([key], signed(key) | changed, BODY, now_s=NOW_S)


@pytest.mark.parametrize("key", (generate_secret(), generate_key_pair()[0]), ids=("whsec", "whsk"))
def test_a_changed_body_or_another_key_is_a_fault(key: str) -> None:
    with pytest.raises(SignatureFault, match="known key"):
        verify([key], signed(key), BODY + b" ", now_s=NOW_S)
    with pytest.raises(SignatureFault, match="known key"):
        verify([generate_secret(), generate_key_pair()[1]], signed(key), BODY, now_s=NOW_S)


def test_one_scheme_s_signature_is_not_taken_for_the_other_s() -> None:
    key = generate_secret()
    headers = signed(key)
    headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v1a,")
    with pytest.raises(SignatureFault):
        verify([key, generate_key_pair()[1]], headers, BODY, now_s=NOW_S)


@pytest.mark.parametrize(
    ("age_s", "taken"), ((0, True), (300, True), (301, False), (-300, True), (-301, False))
)
def test_a_timestamp_is_good_for_five_minutes_either_way(age_s: int, taken: bool) -> None:
    key = generate_secret()
    headers = signed(key, at_s=NOW_S - age_s)
    if taken:
        verify([key], headers, BODY, now_s=NOW_S)
    else:
        with pytest.raises(SignatureFault, match="300 s"):
            verify([key], headers, BODY, now_s=NOW_S)


@pytest.mark.parametrize(
    "key",
    (
        "s3cret",
        "whsec_==",
        "whsec_!!s3cret!!",
        "whsec_c3NlY3JldA==",
        "whsec_" + "A" * 100,
        "whsk_" + base64.b64encode(b"s3cret").decode(),
        "whsk_" + base64.b64encode(bytes(32) + bytes(32)).decode(),
        pytest.param(generate_key_pair()[1], id="a public key"),
        "whsec_é",
    ),
)
def test_what_is_no_signing_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(SigningKeyFault) as fault:
        check_signing_key(key)
    assert key not in str(fault.value)
    assert "s3cret" not in str(fault.value)
    assert fault.value.__cause__ is None
    assert fault.value.__context__ is None


def test_generated_keys_are_fresh_and_of_their_form() -> None:
    assert generate_secret() != generate_secret()
    assert len(base64.b64decode(generate_secret().removeprefix("whsec_"))) == 32
    check_signing_key(generate_secret())
    check_signing_key(generate_key_pair()[0])
