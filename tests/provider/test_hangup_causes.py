from __future__ import annotations

import pytest

from app.message import Reason
from app.provider.hangup_causes import reason_of


@pytest.mark.parametrize(
    "note",
    ("USER BUSY", "user_busy", "User-Busy", "USERBUSY", " USER  BUSY ", "17", "CAUSE 17", "cause=17", "17 USER BUSY",
     "17: USER_BUSY", "USER BUSY (17)", "Q.850;cause=17", 'Q.850;cause=17;text="User busy"', "17 something new"),
)  # fmt: skip
def test_a_cause_is_read_by_name_and_by_number_in_any_dress(note: str) -> None:
    assert reason_of(note) is Reason.BUSY


@pytest.mark.parametrize(
    ("note", "reason"),
    (
        ("NO_ANSWER", Reason.NO_ANSWER),
        ("NO ANSWER FROM USER (USER ALERTED)", Reason.NO_ANSWER),
        ("19", Reason.NO_ANSWER),
        ("CALL REJECTED", Reason.DECLINED),
        ("21", Reason.DECLINED),
        ("SUBSCRIBER ABSENT", Reason.UNREACHABLE),
        ("20", Reason.UNREACHABLE),
        ("UNALLOCATED_NUMBER", Reason.INVALID_NUMBER),
        ("1", Reason.INVALID_NUMBER),
        ("INVALID NUMBER FORMAT", Reason.INVALID_NUMBER),
        ("NORMAL TEMPORARY FAILURE", Reason.NETWORK_ERROR),
        ("41", Reason.NETWORK_ERROR),
        ("NORMAL CLEARING", Reason.OTHER),
        ("16", Reason.OTHER),
    ),
)
def test_each_reason_of_the_contract_has_its_causes(note: str, reason: Reason) -> None:
    assert reason_of(note) is reason


@pytest.mark.parametrize("note", ("", "máy bận", "999", "1700", "17000 USERS", "rang 17 times", "１７", "💥"))
def test_a_note_that_nothing_explains_is_other(note: str) -> None:
    assert reason_of(note) is Reason.OTHER
