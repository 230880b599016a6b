import itertools
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

from tests.sandbox.desk import NOTICE, Desk, contact

NUMBERS = [f"09012345{n:02d}" for n in range(30)]


async def test_ten_rows_come_where_no_limit_is_asked(desk: Desk) -> None:
    await desk.send(*map(contact, NUMBERS))
    answer = await desk.http.get(
        "/api/campaigns/sandbox-login-otp/export", params={"access_token": desk.token}
    )
    results = answer.json()["results"]
    assert (results["limit"], results["total"], len(results["calls"])) == (10, 30, 10)


async def test_pages_by_offset_give_each_row_once_whatever_the_cap(desk: Desk) -> None:
    await desk.send(*map(contact, NUMBERS))
    await desk.ended(30)
    await desk.fault("page_cap", rows=7)
    seen: list[str] = []
    while page := await desk.rows(offset=len(seen)):
        assert len(page) <= 7
        seen += [row["callee_id"] for row in page]
    assert sorted(seen) == NUMBERS


async def test_import_gives_call_id_as_number_and_export_as_string(desk: Desk) -> None:
    [result] = (await desk.send(contact("0901234567"))).json()["results"]
    [row] = await desk.rows()
    assert row["call_id"] == str(result["call_id"])
    await desk.fault("call_id_kind", in_import="string", in_export="number", empty_until_called=True)
    [result] = (await desk.send(contact("0901234568"))).json()["results"]
    assert isinstance(result["call_id"], str)
    assert {type(row["call_id"]) for row in await desk.ended(2)} == {int}
    await desk.http.post(f"/sandbox/campaigns/{NOTICE}/stop")
    await desk.send(contact("0901234567", None), campaign=NOTICE)
    assert [row["call_id"] for row in await desk.rows(NOTICE)] == [""]


async def test_called_at_is_the_time_in_vietnam_without_a_zone(desk: Desk) -> None:
    await desk.send(contact("0901234567"))
    [row] = await desk.ended()
    called_at = datetime.strptime(row["called_at"], "%Y-%m-%d %H:%M:%S").replace(
        tzinfo=ZoneInfo("Asia/Ho_Chi_Minh")
    )
    assert abs((datetime.now(UTC) - called_at).total_seconds()) < 10


async def test_the_window_keeps_out_what_was_called_before_or_after(desk: Desk) -> None:
    await desk.send(contact("0901234567"))
    await desk.ended()
    now_ms = int(time.time() * 1000)
    assert len(await desk.rows(start_time=now_ms - 60_000)) == 1
    assert await desk.rows(start_time=now_ms + 60_000, end_time=now_ms + 120_000) == []
    assert await desk.rows(end_time=now_ms - 60_000) == []


async def test_the_call_log_spans_campaigns_and_names_no_limit(desk: Desk) -> None:
    await desk.send(contact("0901234567"))
    await desk.send(contact("0901234568", None), campaign=NOTICE)
    answer = await desk.http.get("/api/users/call-log", params={"access_token": desk.token})
    results = answer.json()["results"]
    assert {row["callee_id"] for row in results["calls"]} == {"0901234567", "0901234568"}
    assert set(results) == {"total", "calls"}


async def test_an_unknown_campaign_has_no_export(desk: Desk) -> None:
    assert (await desk.export("nobody's"))["code"] == "01"


async def test_rows_may_show_only_after_the_end(desk: Desk) -> None:
    await desk.fault("late_rows")
    await desk.send(contact("0901234567"), contact("0901230041"))
    assert await desk.rows() == []
    assert [row["callee_id"] for row in await desk.ended()] == ["0901234567"]


async def test_numbers_may_be_spelled_otherwise(desk: Desk) -> None:
    await desk.send(contact("0901234567"))
    spelled = {}
    for spelling in ("national", "international", "e164", "spaced", "e164_spaced"):
        await desk.fault("number_spelling", spelling=spelling)
        spelled[spelling] = (await desk.rows())[0]["callee_id"]
    assert list(spelled.values()) == [
        "0901234567",
        "84901234567",
        "+84901234567",
        "0901 234 567",
        "+84 901 234 567",
    ]


async def test_few_lines_call_one_after_another(desk: Desk) -> None:
    await desk.fault("few_lines", lines=1)
    await desk.send(*map(contact, NUMBERS[:4]))
    await desk.ended(4)
    starts = sorted(call["called_at_ms"] for call in (await desk.state())["calls"])
    assert all(later - sooner >= 160 for sooner, later in itertools.pairwise(starts))


async def test_a_shifted_clock_shows_in_date_and_called_at_and_window(desk: Desk) -> None:
    await desk.fault("clock_offset", seconds=-600)
    sent = await desk.send(contact("0901234567"))
    assert 598 < (datetime.now(UTC) - parsedate_to_datetime(sent.headers["date"])).total_seconds() < 605
    await desk.ended()
    now_ms = int(time.time() * 1000)
    assert await desk.rows(start_time=now_ms - 60_000) == []
    assert len(await desk.rows(start_time=now_ms - 660_000)) == 1


async def test_total_may_grow_while_paging_with_rows_or_without(desk: Desk) -> None:
    await desk.fault("growing_total", by=2)
    assert [(await desk.export())["results"]["total"] for _ in range(3)] == [2, 4, 6]
    await desk.fault("growing_total", by=1, phantom=True)
    results = (await desk.export())["results"]
    assert (results["total"], len(results["calls"])) == (7, 6)


async def test_somebody_else_may_call_the_same_numbers(desk: Desk) -> None:
    await desk.fault("foreign_rows", numbers="same", times=1)
    await desk.send(contact("0901234567"))
    assert [row["callee_id"] for row in await desk.rows()] == ["0901234567"] * 2
    assert [call["foreign"] for call in (await desk.state())["calls"]] == [False, True]


async def test_each_campaign_may_count_its_own_call_ids(desk: Desk) -> None:
    await desk.fault("call_ids_per_campaign")
    first = (await desk.send(contact("0901234567"))).json()["results"]
    second = (await desk.send(contact("0901234568", None), campaign=NOTICE)).json()["results"]
    assert first[0]["call_id"] == second[0]["call_id"]


async def test_rows_come_newest_first_or_oldest_first(desk: Desk) -> None:
    await desk.send(contact("0901234567"))
    await desk.ended()
    await desk.send(contact("0901234568"))
    assert [row["callee_id"] for row in await desk.rows()] == ["0901234568", "0901234567"]
    await desk.fault("row_order", order="oldest")
    assert [row["callee_id"] for row in await desk.rows()] == ["0901234567", "0901234568"]
