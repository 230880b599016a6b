"""What is sealed opens with any key that is configured, for the record that it was sealed for, and not otherwise."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sealing import Index, Keyring, UnsealableError
from app.secret import Secret


def ring(*letters: str) -> Keyring:
    return Keyring([Secret.of(base64.b64encode(letter.encode() * 32).decode()) for letter in letters])


@given(st.binary(max_size=300), st.text(max_size=40))
def test_a_sealed_value_opens_for_its_own_record(clear: bytes, record: str) -> None:
    sealed = ring("a").seal(clear, record)
    assert ring("a").open(sealed, record) == clear
    assert len(clear) < 4 or clear not in sealed


def test_a_new_key_goes_first_while_the_old_one_still_opens() -> None:
    sealed = ring("a").seal(b"004217", "msg_1")
    rotated = ring("b", "a")
    assert rotated.open(sealed, "msg_1") == b"004217"
    assert not rotated.is_current(sealed)
    assert rotated.is_current(rotated.seal(b"004217", "msg_1"))
    assert ring("b").open(rotated.seal(b"004217", "msg_1"), "msg_1") == b"004217"


def test_a_value_whose_key_is_gone_does_not_open() -> None:
    with pytest.raises(UnsealableError):
        ring("b").open(ring("a").seal(b"004217", "msg_1"), "msg_1")


def test_a_value_that_was_moved_to_another_record_does_not_open() -> None:
    with pytest.raises(UnsealableError):
        ring("a").open(ring("a").seal(b"004217", "msg_1"), "msg_2")


def test_a_value_that_was_changed_does_not_open() -> None:
    sealed = bytearray(ring("a").seal(b"004217", "msg_1"))
    sealed[-1] ^= 1
    with pytest.raises(UnsealableError):
        ring("a").open(bytes(sealed), "msg_1")


def test_an_index_tells_equal_from_unequal_and_depends_on_its_secret() -> None:
    index = Index(b"s" * 32)
    assert index.of("number", "+84901234567") == index.of("number", "+84901234567")
    assert index.of("number", "+84901234567") != index.of("reference", "+84901234567")
    assert index.of("number", "+84901234567") != Index(b"t" * 32).of("number", "+84901234567")
    assert index.fingerprint(b"{}") != index.fingerprint(b"[]")
