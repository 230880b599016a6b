import pytest

from app.sandbox.calls import Call, Row, rows
from app.sandbox.outcomes import MAGIC, Effect, Outcome, outcome_of
from tests.sandbox.desk import Desk, contact

CALLED = [outcome for outcome in MAGIC if outcome.verdicts]


def placed(number: str) -> Call:
    return Call(
        call_id=7,
        redial_id=8,
        campaign_id="c",
        number=number,
        variables={},
        otp_code=None,
        otp_ok=False,
        placed_at_ms=0,
        starts_at_ms=200,
        call_time_ms=1000,
    )


def states(call: Call, at_ms: int) -> list[tuple[int, int]]:
    return [(row.call_id, row.state) for row in rows(call, at_ms)]


def test_a_call_is_queued_then_rings_then_ends() -> None:
    call = placed("0901234567")
    assert [states(call, at_ms) for at_ms in (0, 199, 200, 999, 1000, 10**9)] == [
        [(7, 10)],
        [(7, 10)],
        [(7, 20)],
        [(7, 20)],
        [(7, 40)],
        [(7, 40)],
    ]


def test_a_redial_fails_first_and_is_answered_under_a_new_call_id() -> None:
    call = placed("0901230031")
    assert states(call, 1000) == [(7, 50)]
    assert states(call, 1200) == [(7, 50), (8, 20)]
    assert states(call, 2000) == [(7, 50), (8, 40)]


def test_a_slow_call_takes_ten_times_as_long() -> None:
    call = placed("0901230033")
    assert states(call, 8199) == [(7, 20)]
    assert states(call, 8200) == [(7, 40)]


def test_some_calls_never_end_and_some_never_show() -> None:
    assert states(placed("0901230041"), 10**12) == [(7, 20)]
    assert states(placed("0901230042"), 10**12) == []


def test_each_ending_stands_once_in_the_table() -> None:
    assert len({outcome.ending for outcome in MAGIC}) == len(MAGIC)
    assert all(outcome_of("090123" + outcome.ending) is outcome for outcome in MAGIC)


@pytest.mark.parametrize("outcome", CALLED, ids=lambda outcome: outcome.ending)
def test_a_magic_number_ends_as_its_table_says(outcome: Outcome) -> None:
    ended: list[Row] = rows(placed("090123" + outcome.ending), 10**9)
    assert [(row.state, row.verdict) for row in ended] == [(v.state, v) for v in outcome.verdicts]


async def test_an_export_shows_every_ending_as_the_table_says(desk: Desk) -> None:
    outcomes = [outcome for outcome in CALLED if outcome.slowness == 1]
    await desk.send(*(contact("090123" + outcome.ending) for outcome in outcomes))
    expected = sum(len(outcome.verdicts) for outcome in outcomes)
    seen = await desk.ended(expected)
    for outcome in outcomes:
        mine = [row for row in reversed(seen) if row["callee_id"].endswith(outcome.ending)]
        shown = [(row["state"], row["note"], row["key_press"], row["duration"]) for row in mine]
        assert shown == [(v.state, v.note, v.key_press, v.duration_s) for v in outcome.verdicts]
        assert all(bool(row["called_at"]) is (outcome.effect is not Effect.UNDATED) for row in mine)


async def test_a_refused_number_is_skipped_in_silence(desk: Desk) -> None:
    body = (await desk.send(contact("0901230043"), contact("0901234567"))).json()
    assert body["message"] == "Ghi nhận thành công 1 trên 2 bản ghi"
    assert [result["phone_number"] for result in body["results"]] == ["0901234567"]


async def test_a_poisoned_number_spoils_its_whole_import(desk: Desk) -> None:
    assert (await desk.send(contact("0901230044"), contact("0901234567"))).json()["code"] == "400"
    assert await desk.rows() == []


async def test_an_unlisted_number_is_counted_and_called_but_not_in_the_results(desk: Desk) -> None:
    body = (await desk.send(contact("0901230045"), contact("0901234567"))).json()
    assert body["message"] == "Ghi nhận thành công 2 trên 2 bản ghi"
    assert len(body["results"]) == 1
    assert len(await desk.rows()) == 2
