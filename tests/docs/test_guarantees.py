"""Each guarantee and each defence names tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT

_PAGES = ("guarantees.md", "security.md")
_NAMED = sorted(
    {
        named
        for page in _PAGES
        for named in re.findall(
            r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / page).read_text(encoding="utf-8")
        )
    }
)


def test_guarantees_name_their_tests() -> None:
    assert len(_NAMED) > 30


@pytest.mark.parametrize(("file", "test"), _NAMED, ids=[test for _, test in _NAMED])
def test_a_named_test_exists(file: str, test: str) -> None:
    source = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^(async )?def {test}\(", source, re.MULTILINE), f"{file} has no {test}"
