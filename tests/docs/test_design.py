"""docs/design is true to the scripts: the states, every script, every key."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from app.store.lua import script_names
from tests.docs.pages import LIFE, ROOT, rows, section

MAKER = ROOT / "docs" / "design" / "make_states.py"
PAGE = MAKER.with_name("life-of-a-message.md")
SCRIPTS = ROOT / "app" / "store" / "scripts"


def check(maker: Path) -> int:
    return subprocess.run(
        [sys.executable, maker, "--check"], cwd=ROOT, capture_output=True, check=False, timeout=30
    ).returncode


def test_the_diagram_of_states_is_current() -> None:
    assert check(MAKER) == 0


def test_a_diagram_with_a_move_that_the_table_has_not_is_found_and_redrawn(tmp_path: Path) -> None:
    maker, page = tmp_path / MAKER.name, tmp_path / PAGE.name
    maker.write_text(MAKER.read_text(encoding="utf-8"), encoding="utf-8")
    page.write_text(LIFE.replace("queued --> expired", "answered --> queued"), encoding="utf-8")
    assert check(maker) == 1
    subprocess.run([sys.executable, maker], cwd=ROOT, check=True, timeout=30)
    assert page.read_text(encoding="utf-8") == LIFE


def test_every_script_has_a_row_and_every_row_a_script() -> None:
    table = section(LIFE, "Scripts")
    told = {name for line in table.splitlines() if line.startswith("| `") for name in rows(line)}
    assert told == set(script_names())


def test_the_layout_has_every_key_that_the_store_touches_and_no_other() -> None:
    text = "\n".join(file.read_text(encoding="utf-8") for file in SCRIPTS.glob("*.lua"))
    python = "\n".join(file.read_text(encoding="utf-8") for file in ROOT.glob("app/store/*.py"))
    touched = set(re.findall(r"\bP \.\. '([a-z_]+)", text)) | set(re.findall(r'\bkey\("([a-z_]+)"', python))
    told = {name.partition(":")[0] for name in rows(section(LIFE, "Keys in Redis"))}
    assert "m" in touched
    assert touched == told
