"""The lock files are those of pyproject.toml, and the check that says so sees when they are not."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECK = ROOT / ".ci" / "check_locks.py"
LOCKS = ("runtime", "dev", "test", "build")


def complaints(root: Path) -> str:
    """What the check has to say of the locks under `root`; empty if nothing."""
    ran = subprocess.run(
        [sys.executable, CHECK, root], capture_output=True, text=True, timeout=30, check=False
    )
    assert bool(ran.stderr) == bool(ran.returncode)
    return ran.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


def mend(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_the_locks_are_those_of_pyproject() -> None:
    assert complaints(ROOT) == ""


def test_no_lock_names_an_index_or_a_place() -> None:
    for lock in LOCKS:
        text = (ROOT / "requirements" / f"{lock}.txt").read_text()
        assert "://" not in text
        assert "--index" not in text
        assert "--find-links" not in text


def test_a_new_requirement_that_is_not_locked_is_told(copy: Path) -> None:
    mend(copy / "pyproject.toml", '"click>=8.1"', '"click>=8.1", "left-pad>=1"')
    assert "runtime.txt: left-pad>=1 is missing" in complaints(copy)


def test_a_requirement_that_was_dropped_is_told(copy: Path) -> None:
    mend(copy / "pyproject.toml", '  "phonenumbers>=9",\n', "")
    assert "runtime.txt: phonenumbers is no longer asked for" in complaints(copy)


def test_a_pin_that_pyproject_rules_out_is_told(copy: Path) -> None:
    mend(copy / "pyproject.toml", '"structlog>=26.1"', '"structlog>=99"')
    assert "is not structlog>=99" in complaints(copy)


def test_a_pin_without_a_hash_is_told(copy: Path) -> None:
    lock = copy / "requirements" / "build.txt"
    lock.write_text(re.sub(r"(?m)^(hatchling==\S+) \\\n(    --hash.*\n)+", r"\1\n", lock.read_text()))
    assert "build.txt: hatchling has no hash" in complaints(copy)


def test_an_index_in_a_lock_is_told(copy: Path) -> None:
    lock = copy / "requirements" / "dev.txt"
    lock.write_text("--index-url https://packages.example/simple\n" + lock.read_text())
    assert "dev.txt: names an index, an option or a URL" in complaints(copy)


def test_what_is_shipped_is_what_was_tested(copy: Path) -> None:
    pin = next(
        line
        for line in (copy / "requirements/runtime.txt").read_text().splitlines()
        if line.startswith("idna==")
    )
    mend(copy / "requirements" / "runtime.txt", pin, "idna==3.0 \\")
    assert "idna is" in complaints(copy)
