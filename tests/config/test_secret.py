"""A secret can be used but not seen, wherever it stands."""

from __future__ import annotations

import base64
import copy
import dataclasses
import hmac
import json
import marshal
import pickle
import pprint
import string
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from app.callbacks.signing import generate_key_pair
from app.config import ConfigError, parse_config
from app.intake.reading import Sent
from app.secret import Secret, SecretUnreadableError
from tests.canaries.planted import MARK
from tests.config.sample import ENV, LEAST, faults_of, read
from tests.store.desk import draft_of

PLACES = {
    "secret_key": '{ env = "AICALLCENTER_SECRET_KEY" }',
    "signing_secrets": '[{ env = "CHECKOUT_WEBHOOK_SECRET" }]',
    "encryption_keys": '[{ env = "RELAY_ENCRYPTION_KEY" }]',
    "api_keys": f'["sha256:{"ab" * 32}"]',
}
SECRET_TEXTS = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=_-", min_size=12, max_size=60
).map(lambda drawn: MARK + drawn)


@given(SECRET_TEXTS)
def test_no_form_of_a_secret_shows_its_text(text: str) -> None:
    secret = Secret.of(text)
    forms = [str(secret), repr(secret), f"{secret}", f"{secret:>40}", "%s" % secret, repr([secret])]  # noqa: UP031
    assert not any(MARK in form for form in forms)


@given(
    SECRET_TEXTS, st.sampled_from(sorted(PLACES)), st.sampled_from(["{}", "[{}]", "{{ env = {} }}", "[[{}]]"])
)
def test_no_fault_and_no_repr_of_a_configuration_shows_a_secret(text: str, key: str, form: str) -> None:
    written = LEAST.replace(f"{key} = {PLACES[key]}", f"{key} = {form.format(repr(text))}")
    assert text in written
    try:
        shown = repr(parse_config(written, file="relay.toml", env=ENV))
    except ConfigError as refused:
        shown = f"{refused}{refused!r}{refused.faults!r}"
    assert MARK not in shown


@dataclasses.dataclass(frozen=True, slots=True)
class Holder:
    """As many parts of the program hold one."""

    name: str
    secret: Secret


class Struct(msgspec.Struct):
    """The same, of msgspec."""

    secret: Secret


def _deep(secret: Secret, depth: int) -> str:
    return _deep(secret, depth - 1) if depth else f"{secret.nothing}"  # type: ignore[attr-defined]


@given(SECRET_TEXTS)
def test_no_holder_traceback_or_log_shows_what_it_holds(text: str) -> None:
    secret = Secret.of(text)
    shown = [repr(Holder("a", secret)), repr(Struct(secret)), repr({"a": [secret]}), pprint.pformat([secret])]
    shown += [f"{secret!r:>9}{secret!s}{secret!a}", string.Template("$a").substitute(a=secret)]
    shown += [json.dumps({"a": secret}, default=str), msgspec.json.encode(secret, enc_hook=repr).decode()]
    try:
        _deep(secret, 2)
    except AttributeError as error:
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # this frame holds the text
        shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()
        with_locals = structlog.tracebacks.ExceptionDictTransformer(show_locals=True)
        shown.append(repr(with_locals((type(error), error, error.__traceback__))))
    assert any("secret = <secret>" in form for form in shown)
    assert MARK not in "".join(shown)


@pytest.mark.parametrize(
    "write",
    (json.dumps, dataclasses.asdict, marshal.dumps, bytes, vars, iter),
    ids=("json", "asdict", "marshal", "bytes", "vars", "iter"),
)
def test_a_holder_cannot_be_taken_apart(write: Callable[[object], object]) -> None:
    secret = Secret.of(f"{MARK}held")
    with pytest.raises((TypeError, ValueError)) as refused:
        write(Holder("a", secret) if write is dataclasses.asdict else secret)
    assert MARK not in str(refused.value)


def test_what_is_no_unicode_is_compared_without_a_fault() -> None:
    assert Secret.of(f"{MARK}\udcff") == Secret.of(f"{MARK}\udcff")
    assert Secret.of(f"{MARK}\udcff") != Secret.of(f"{MARK}\udcfe")


def test_equality_takes_the_library_s_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return True

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert Secret.of("a") == Secret.of("b")
    assert compared == [(b"a", b"b")]


def test_a_request_and_a_draft_do_not_show_the_body_that_holds_the_code() -> None:
    sent = Sent({"otp_code": f"{MARK}1"}, f"{MARK}2".encode(), None, None)
    draft = replace(draft_of(), canonical_body=f"{MARK}3".encode(), otp_code=Secret.of(f"{MARK}4"))
    assert MARK not in f"{sent} {draft}"


def test_a_redis_password_is_in_no_repr_and_no_fault() -> None:
    assert "hunter2" not in repr(read(LEAST.replace("redis://localhost", "redis://:hunter2@localhost")))
    assert "hunter2" not in str(
        ConfigError(faults_of(LEAST.replace("redis://localhost:6379/0", "redis://:hunter2@h/x")))
    )


@pytest.mark.parametrize(
    "encode", (pickle.dumps, copy.copy, copy.deepcopy, msgspec.json.encode, msgspec.msgpack.encode)
)
def test_a_secret_cannot_be_written_out(encode: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        encode(Secret.of("s3cret"))


def test_secrets_are_equal_by_their_text() -> None:
    assert Secret.of("a") == Secret.of("a")
    assert Secret.of("a") != Secret.of("b")
    assert Secret.of("a") != "a"


def test_a_file_secret_loses_one_newline_and_stays_as_it_was_read(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("first\n\n")
    secret = Secret.from_file(file)
    file.write_text("another\n")
    assert secret.reveal() == "first\n"
    assert Secret.from_file(file).reveal() == "another"


@pytest.mark.parametrize("content", (b"", b"\n", b"\xff\xfe", b"x" * 70_000))
def test_a_file_that_holds_no_secret_is_told_without_what_it_holds(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(SecretUnreadableError, match="secret") as told:
        Secret.from_file(file)
    assert "xxx" not in str(told.value)


def test_a_secret_that_is_nowhere_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SecretUnreadableError, match="NOWHERE"):
        Secret.from_env("NOWHERE", {})
    with pytest.raises(SecretUnreadableError, match="none"):
        Secret.from_file(tmp_path / "none")


def b64(size: int) -> str:
    return base64.b64encode(bytes(size)).decode()


@pytest.mark.parametrize(
    "good",
    (f"whsec_{b64(24)}", f"whsec_{b64(64)}", f"whsk_{b64(32)}", generate_key_pair()[0]),
    ids=("24 bytes", "64 bytes", "a seed", "a key pair"),
)
def test_a_signing_secret_of_the_right_form_is_taken(good: str) -> None:
    assert (
        read(LEAST, ENV | {"CHECKOUT_WEBHOOK_SECRET": good}).clients["checkout"].signing_secrets[0].reveal()
        == good
    )


@pytest.mark.parametrize(
    "bad",
    (
        *(f"whsec_{b64(23)}", f"whsec_{b64(65)}", f"whsk_{b64(33)}", f"whsk_{b64(64)}", f"whsec_{b64(32)}\n"),
        *(b64(32), "whsec_", "whsec_ä", f"whpk_{b64(32)}"),
    ),
)
def test_a_malformed_signing_secret_is_refused_and_not_shown(bad: str) -> None:
    (fault,) = faults_of(LEAST, ENV | {"CHECKOUT_WEBHOOK_SECRET": bad})
    assert fault.key == "clients.checkout.signing_secrets[0]"
    assert fault.found == "a secret of another form"


@pytest.mark.parametrize("bad", (b64(31), b64(33), "x" * 32))
def test_an_encryption_key_is_32_bytes(bad: str) -> None:
    assert [fault.key for fault in faults_of(LEAST, ENV | {"RELAY_ENCRYPTION_KEY": bad})] == [
        "storage.encryption_keys[0]"
    ]
