"""An import whose fate its answer does not tell: found in the export, or given up; and nobody is called twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.workers.many_campaigns import finals, many_campaigns, numbers_of, states, steps, times_called

WINDOW = 'reconcile_window = "1500ms"'
NEVER = f'{WINDOW}\non_ambiguous = "give_up"'

TAKEN: dict[str, dict[str, object]] = {
    "reset_after": {},
    "error_after": {"status": 502},
    "garbage_body": {},
    "half_body": {},
    "strange_body": {"shape": "object"},
    "hang": {"when": "after"},
}
"""Faults that strike after the provider took everything."""

NOT_TAKEN: dict[str, dict[str, object]] = {"reset_before": {}, "error_before": {"status": 503}}
"""Faults that strike before, and look the same from here."""


@pytest.mark.parametrize("lines", (WINDOW, NEVER), ids=("retry", "give_up"))
async def test_what_was_taken_is_found_and_what_was_not_is_left_to_the_campaigns_policy(
    redis_url: str, tmp_path: Path, lines: str
) -> None:
    faults = {**TAKEN, **NOT_TAKEN}
    async with many_campaigns(redis_url, tmp_path, dict.fromkeys(faults, lines)) as rig:
        sent = {}
        for case, (fault, params) in enumerate(faults.items()):
            await rig.fault(fault, campaign=fault, times=1, **params)
            sent[fault] = [await rig.send(number, campaign=fault) for number in numbers_of(case)]
        await rig.start_worker()
        ended = await finals(rig, sent)
        called = await times_called(rig)
    for case, fault in enumerate(faults):
        gone = fault in NOT_TAKEN and lines == NEVER
        assert states(ended[fault]) == {"undetermined ambiguous_import" if gone else "answered"}, fault
        assert [called[number] for number in numbers_of(case)] == [0 if gone else 1] * 4, fault
        for one in ended[fault]:
            assert "import ambiguous" in steps(one)
            assert ("import found" in steps(one)) == (fault in TAKEN)
            assert ("requeued" in steps(one)) == (fault in NOT_TAKEN and not gone)


SLOW = 'reconcile_window = "20s"'
WAYS: dict[str, tuple[str, dict[str, object]]] = {
    "paged": ("page_cap", {"rows": 1}),
    "spelled": ("number_spelling", {"in_results": True}),
    "strangers": ("foreign_rows", {"count": 5}),
    "late": ("late_rows", {"until": "ended"}),
    "few": ("few_lines", {"lines": 1}),
    "oldest": ("row_order", {"order": "shuffled"}),
    "growing": ("growing_total", {"by": 1}),
    "textless": ("call_id_kind", {"in_export": "number", "empty_until_called": True}),
    "imported": ("filter_by_import", {}),
}
"""Ways in which the provider may turn out, each in a campaign of its own."""


@pytest.mark.parametrize(
    ("skew_s", "spelling"), ((0, "international"), (300, "e164_spaced"), (-300, "spaced"))
)
async def test_a_lost_answer_is_made_good_whichever_way_the_export_turns_out(
    redis_url: str, tmp_path: Path, skew_s: int, spelling: str
) -> None:
    lines = {name: WINDOW if name == "few" else SLOW for name in WAYS}
    async with many_campaigns(redis_url, tmp_path, lines) as rig:
        sent = {}
        if skew_s:
            await rig.fault("clock_offset", seconds=skew_s)
        for case, (name, (fault, params)) in enumerate(WAYS.items()):
            more = {"spelling": spelling} if name == "spelled" else {}
            await rig.fault(fault, campaign=name, **params, **more)
            sent[name] = [await rig.send(number, campaign=name) for number in numbers_of(case, 6)]
        await rig.fault("reset_after", times=len(WAYS))
        await rig.start_worker()
        ended = await finals(rig, sent)
        called = await times_called(rig)
    for case, name in enumerate(WAYS):
        assert states(ended[name]) == {"answered"}, name
        assert [called[number] for number in numbers_of(case, 6)] == [1] * 6, name
        assert all("import found" in steps(one) for one in ended[name]), name


async def test_a_second_code_to_a_number_waits_until_the_first_ones_import_is_settled(
    redis_url: str, tmp_path: Path
) -> None:
    async with many_campaigns(redis_url, tmp_path, {"taken": SLOW, "lost": WINDOW}) as rig:
        await rig.fault("reset_after", campaign="taken", times=1)
        await rig.fault("reset_before", campaign="lost", times=1)
        sent = {}
        for case, name in enumerate(("taken", "lost")):
            [number] = numbers_of(case, 1)
            sent[name] = [
                await rig.send(number, campaign=name, code=code) for code in ("111111", "222222", "333333")
            ]
        await rig.start_worker()
        ended = await finals(rig, sent)
        called = await times_called(rig)
        imports = (await rig.provider())["imports"]
        spoken = [
            [
                (await rig.sandbox.get(f"/sandbox/calls/{one.message.call.call_id}/spoken")).json()[
                    "otp_code"
                ]
                for one in ended[name]
                if one.message.call
            ]
            for name in ended
        ]
    for case, name in enumerate(ended):
        assert states(ended[name]) == {"answered"}
        assert [called[number] for number in numbers_of(case, 1)] == [3]
    assert spoken == [["111111", "222222", "333333"]] * 2
    assert all(len(set(one["numbers"])) == len(one["numbers"]) for one in imports)


async def test_redials_under_new_ids_belong_to_the_call_that_proved_the_import(
    redis_url: str, tmp_path: Path
) -> None:
    lines = f'{SLOW}\nredial_window = "6s"'
    async with many_campaigns(redis_url, tmp_path, {"redialled": lines, "plain": SLOW}) as rig:
        await rig.fault("reset_after", times=2)
        sent = {
            "redialled": [
                await rig.send(f"+8490100{end}", campaign="redialled") for end in ("0031", "0032", "5000")
            ],
            "plain": [await rig.send("+84901010001", campaign="plain")],
        }
        await rig.start_worker()
        ended = await finals(rig, sent)
        called = await times_called(rig)
    assert [states([one]) for one in ended["redialled"]] == [{"answered"}, {"failed no_answer"}, {"answered"}]
    assert states(ended["plain"]) == {"failed busy"}
    assert set(called.values()) == {1}


async def test_an_answer_that_names_fewer_than_it_counts_leaves_the_rest_to_the_export(
    redis_url: str, tmp_path: Path
) -> None:
    async with many_campaigns(redis_url, tmp_path, {"some": SLOW}) as rig:
        sent = {
            "some": [await rig.send(number, campaign="some") for number in ("+84902000045", "+84902005000")]
        }
        await rig.start_worker()
        ended = await finals(rig, sent)
        called = await times_called(rig)
    assert states(ended["some"]) == {"answered"}
    assert [("import ambiguous" in steps(one)) for one in ended["some"]] == [True, False]
    assert called == {"+84902000045": 1, "+84902005000": 1}


async def test_a_row_that_comes_after_the_import_was_given_up_settles_it_with_a_second_event(
    redis_url: str, tmp_path: Path
) -> None:
    async with many_campaigns(redis_url, tmp_path, {"late": NEVER}, call_time_s=0.2) as rig:
        await rig.fault("late_rows", campaign="late", delay_ms=2_500)
        await rig.fault("reset_after", campaign="late", times=1)
        message_id = await rig.send("+84903005000", campaign="late")
        await rig.start_worker()
        first = await rig.final(message_id)
        assert states([first]) == {"undetermined ambiguous_import"}
        got = await rig.receiver.wait_for(2)
        called = await times_called(rig)
        await asyncio.sleep(0)
    assert [body["type"] for _, body in got] == ["message.undetermined", "message.answered"]
    assert got[0][1]["data"]["revision"] < got[1][1]["data"]["revision"]
    assert called == {"+84903005000": 1}
