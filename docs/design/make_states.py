"""Draws the states of a message and their moves into `life-of-a-message.md`, from the table that the scripts obey.

    .venv/bin/python docs/design/make_states.py            rewrites the page's diagram
    .venv/bin/python docs/design/make_states.py --check    exit 1 if the page's diagram is not the table's

Owns what stands between the two markers of the page, and nothing else of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from app.message import FINAL, MOVES, State

PAGE = Path(__file__).with_name("life-of-a-message.md")
BEGIN = "<!-- states: made by make_states.py -->"
END = "<!-- end of states -->"


def diagram() -> str:
    """The table as a mermaid diagram, in a fenced block."""
    moves = [f"    {state} --> {to}" for state in State for to in State if to in MOVES[state]]
    ends = [f"    {state} --> [*]" for state in State if state in FINAL]
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.QUEUED}", *moves, *ends, "```"]
    return "\n".join(lines)


def with_diagram(page: str) -> str:
    """The page's text with the diagram between its markers. ValueError if it has not just one pair of them."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{PAGE.name} must hold {BEGIN} and {END}, each once")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{diagram()}\n{END}{tail}"


def main() -> int:
    """The exit code."""
    page = PAGE.read_text(encoding="utf-8")
    drawn = with_diagram(page)
    if "--check" in sys.argv[1:]:
        if page != drawn:
            print(f"{PAGE.name} is not what app/message.py says: run {Path(__file__).name}", file=sys.stderr)
        return int(page != drawn)
    PAGE.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
