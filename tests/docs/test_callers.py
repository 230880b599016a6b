"""docs/callers.md: the snippet runs, and every field, state, reason and problem has its words."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import cast

import pytest

from app.api.problems import BASE, KINDS, Kind
from app.callbacks.signing import Signer, generate_secret
from app.intake.fields import MESSAGE_FIELDS
from app.message import Reason, State
from app.secret import Secret
from tests.docs.pages import CALLERS, blocks, rows, section

Receive = Callable[[Mapping[str, str], bytes], int]
EVENT = "evt_01jd8vq6mr0w8yk4m2c7e9x3bar4"


def callback(revision: int = 4, state: str = "answered") -> bytes:
    data = {"id": "msg_1", "state": state, "reason": None, "revision": revision}
    return json.dumps(
        {"type": f"message.{state}", "timestamp": "2026-11-24T03:00:09.412Z", "data": data}
    ).encode()


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    fresh = generate_secret()
    monkeypatch.setenv("CHECKOUT_WEBHOOK_SECRET", fresh)
    return fresh


@pytest.fixture
def receive(secret: str) -> Receive:
    """The page's own function, from the page's own text."""
    [snippet] = blocks(CALLERS, "python")
    names: dict[str, object] = {}
    exec(compile(snippet, "callers.md", "exec"), names)
    return cast("Receive", names["receive"])


def signed(secret: str, body: bytes, age_s: int = 0) -> dict[str, str]:
    return Signer([Secret.of(secret)]).headers(EVENT, int(time.time()) - age_s, body)


def test_the_snippet_takes_a_callback_that_we_signed(
    receive: Receive, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert receive(signed(secret, callback()), callback()) == 204
    assert capsys.readouterr().out == "msg_1 answered None\n"


def test_the_snippet_ignores_what_it_has_seen_and_what_is_older(
    receive: Receive, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for body in (callback(4), callback(4), callback(3, "submitted")):
        assert receive(signed(secret, body), body) == 204
    assert capsys.readouterr().out == "msg_1 answered None\n"


def test_the_snippet_refuses_another_secret_another_body_and_an_old_timestamp(
    receive: Receive, secret: str
) -> None:
    assert receive(signed(generate_secret(), callback()), callback()) == 401
    assert receive(signed(secret, callback()), callback(5)) == 401
    assert receive(signed(secret, callback(), age_s=600), callback()) == 401
    assert receive({}, callback()) == 401


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.slug)
def test_every_problem_type_has_a_section_that_gives_its_status(kind: Kind) -> None:
    assert section(section(CALLERS, "Errors"), kind.slug).strip().startswith(f"`{kind.status}`.")


def test_no_section_tells_of_a_problem_that_there_is_not() -> None:
    told = {
        line.removeprefix("### ") for line in section(CALLERS, "Errors").splitlines() if line[:4] == "### "
    }
    assert told == {kind.slug for kind in KINDS}


def test_problem_types_in_examples_are_true() -> None:
    known = {kind.type: kind for kind in KINDS}
    for block in blocks(CALLERS, "json"):
        found = json.loads(block)
        for problem in [found, *(one.get("error", {}) for one in found.get("results", []))]:
            if str(problem.get("type", "")).startswith(BASE):
                assert known[problem["type"]].status == problem["status"]
                assert problem.get("title", known[problem["type"]].title) == known[problem["type"]].title


def test_every_field_of_a_message_has_a_row_and_no_other() -> None:
    told = rows(section(CALLERS, "Fields"))
    first = {line.split("`")[1] for line in section(CALLERS, "Fields").splitlines() if line.startswith("| `")}
    assert first == {field.name for field in MESSAGE_FIELDS}
    for field in MESSAGE_FIELDS:
        assert ("required." in told[field.name][0]) == field.required


def test_every_state_and_every_reason_has_its_meaning() -> None:
    text = section(CALLERS, "States and reasons")
    told = [line for line in text.splitlines() if line.startswith("| ")]
    for word in [*State, *Reason]:
        assert any(f"| `{word}` |" in line for line in told), word
