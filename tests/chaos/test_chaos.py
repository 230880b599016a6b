"""Half of the night's run, and the judge himself before made-up crimes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.load import Sent
from tests.chaos.receiver import Told
from tests.chaos.run import Plan, run
from tests.chaos.verdict import Verdict, judge


async def test_nothing_is_lost_or_called_twice_while_everything_is_killed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = await run(Plan(seed=3, messages=1200, kills=10), lambda _: None)
    with capsys.disabled():
        print(f"\n{report.text()}")
    assert report.good, report.text()


def _sent(ending: str = "4567") -> Sent:
    return Sent("m-1", f"090123{ending}", "login-otp", "004217", message_id="msg_1")


def _row(state: int = 40, placed_at_ms: int = 1) -> dict[str, Any]:
    return {"foreign": False, "variables": {"ref": "m-1"}, "placed_at_ms": placed_at_ms, "state": state}


def _told(state: str, reason: str | None = None) -> Told:
    return Told("evt_1", f"message.{state}", {"state": state, "reason": reason}, 0.0)


def _judged(rows: list[dict[str, Any]], told: list[Told], sent: Sent | None = None) -> Verdict:
    return judge([sent or _sent()], rows, {"msg_1": told})


@pytest.mark.parametrize(
    ("rows", "told", "sent"),
    (
        ([_row()], [_told("answered")], None),
        ([_row(50)], [_told("failed", "busy")], _sent("0001")),
        ([_row(50), _row(40)], [_told("answered")], _sent("0031")),
        ([], [_told("rejected", "not_accepted")], _sent("0043")),
        ([], [_told("expired", "provider_unavailable")], None),
        ([_row()], [_told("undetermined", "no_outcome"), _told("answered")], None),
    ),
)
def test_what_is_right_passes(rows: list[dict[str, Any]], told: list[Told], sent: Sent | None) -> None:
    assert _judged(rows, told, sent).count() == 0


@pytest.mark.parametrize(
    ("kind", "rows", "told", "sent"),
    (
        ("lost", [_row()], [], None),
        ("called_twice", [_row(), _row(placed_at_ms=2)], [_told("answered")], None),
        ("wrong", [_row()], [_told("failed", "busy")], None),
        ("wrong", [_row(50)], [_told("failed", "declined")], _sent("0001")),
        ("wrong", [_row()], [_told("expired", "backlog")], None),
        ("wrong", [], [_told("answered")], None),
        ("wrong", [], [_told("undetermined", "ambiguous_import")], None),
        ("told_twice", [_row()], [_told("failed", "busy"), _told("answered")], None),
    ),
)
def test_what_is_not_is_found(
    kind: str, rows: list[dict[str, Any]], told: list[Told], sent: Sent | None
) -> None:
    verdict = _judged(rows, told, sent)
    assert getattr(verdict, kind)
    assert verdict.count() == 1


def test_a_call_that_nobody_asked_for_is_found() -> None:
    assert judge([], [_row()], {}).called_twice
