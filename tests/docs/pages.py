"""The pages a person reads, taken apart: links, headings, fenced blocks, rows of tables."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CALLERS = (ROOT / "docs" / "callers.md").read_text(encoding="utf-8")
OPERATORS = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
LIFE = (ROOT / "docs" / "design" / "life-of-a-message.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of that language."""
    return [text for found, text in _FENCE.findall(page) if found == language]


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page)


def links(page: str) -> list[str]:
    """Targets of links, those to other sites left out."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [target for target in found if "://" not in target]


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(page: str, heading: str) -> str:
    """The text below a heading, up to the next heading of its depth or less."""
    begun = re.search(rf"^(#+) {re.escape(heading)}\n", page, re.MULTILINE)
    assert begun is not None, f"no section {heading}"
    rest = page[begun.end() :]
    ended = re.search(rf"^#{{1,{len(begun[1])}}} ", rest, re.MULTILINE)
    return rest[: ended.start()] if ended else rest


def rows(text: str) -> dict[str, list[str]]:
    """Rows of the tables by the words in backticks in their first cell; the cells after it."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")] if line.startswith("| ") else []
        for name in re.findall(r"`([^`]+)`", cells[0]) if cells else []:
            found[name] = cells[1:]
    return found
