"""What the pages tell a person to type is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from app.cli.entry import otp_relay
from tests.docs.pages import PAGES, README, ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))


def typed(page: Path, program: str) -> list[str]:
    """What stands behind the program's name, in code alone: fenced, indented, or in backticks."""
    text = page.read_text(encoding="utf-8")
    spans = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^(?: {4}|\$ )(\S.*)$", text, re.MULTILINE)
    found = []
    for span in spans:
        begun = re.match(rf"(?:\.venv/bin/)?{program} (\S.*)$", span.partition("  #")[0].strip())
        if begun:
            found.append(begun[1])
    return found


def test_the_readme_names_the_two_commands() -> None:
    assert {"run", "test"} <= set(re.findall(r"^ {4}make (\w+)", README, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_that_a_page_names_is_one(page: Path) -> None:
    named = {words.split()[0] for words in typed(page, "make")}
    assert named <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_that_a_page_names_is_one(page: Path) -> None:
    context = click.Context(otp_relay)
    for words in typed(page, "otp-relay"):
        name, *rest = shlex.split(words)
        command = otp_relay.get_command(context, name)
        assert command is not None, f"otp-relay {name}"
        options = {option for each in command.params for option in each.opts}
        assert {word for word in rest if word.startswith("--")} <= options


def test_the_commands_that_are_said_to_be_missing_are_missing() -> None:
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    said = re.search(r"The commands (.+) are not there", page)
    context = click.Context(otp_relay)
    there = set(otp_relay.list_commands(context))
    assert said is None or there.isdisjoint(re.findall(r"`(\w+)`", said[1]))
