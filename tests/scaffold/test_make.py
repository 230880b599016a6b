"""The commands that a person finds, and that what calls them names only what is there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def make(*goals: str) -> str:
    env = {name: text for name, text in os.environ.items() if not name.startswith("M")}
    return subprocess.run(
        ["make", *goals], cwd=ROOT, env=env, capture_output=True, text=True, check=True, timeout=20
    ).stdout


def targets() -> set[str]:
    [phony] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    return set(phony.split())


def test_make_alone_explains_every_target() -> None:
    explained = {line.split()[1] for line in make().splitlines()}
    assert explained == targets() >= {"run", "test", "install", "check", "format", "lock", "help", "clean"}


def test_a_run_is_set_up_lean_and_the_tests_in_full() -> None:
    assert "setup.py dev" in make("-n", "run")
    assert "setup.py test" in make("-n", "test")
    assert "setup.py test" in make("-n", "check")


def test_arguments_are_handed_on() -> None:
    assert "otp-relay dev --port 9000" in make("-n", "run", "ARGS=--port 9000")
    assert "--dist=loadfile tests/deploy -x" in make("-n", "test", "ARGS=tests/deploy -x")


def test_the_makefile_is_one_that_the_make_of_macos_reads() -> None:
    assert not re.search(r"^\.ONESHELL|!=|\$\(file |::=|&:|\$\(let |\$\(intcmp ", MAKEFILE, re.MULTILINE)
    assert not re.search(r"\b(grep -P|sed -i|readlink -f|realpath|sort -V|xargs -r)\b", MAKEFILE)


def test_ci_checks_and_then_tests_by_the_same_commands_as_a_person() -> None:
    script = ROOT / ".ci" / "run"
    lines = script.read_text()
    assert os.access(script, os.X_OK)
    assert 0 < lines.index("make check") < lines.index("make test")


def test_pre_commit_fetches_no_repository() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].split()[0].startswith(".venv/bin/")
