"""Operators over HTTP: campaigns paused, drained, resumed and looked at, and the log of it."""

from __future__ import annotations

import hashlib

import pytest

from tests.api.conftest import MakeApi
from tests.api.desk import KEYS, Api, Json, assert_problem, otp, pointers

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINGERPRINT = hashlib.sha256(KEYS["admin"].encode()).hexdigest()[:8]
WHY = {"reason": "callers complain", "by": "mai@ops"}


async def act(api: Api, verb: str, body: object = WHY, campaign: str = "login-otp") -> Json:
    answer = await api.post(body, path=f"/v1/admin/campaigns/{campaign}/{verb}", of="admin")
    assert answer.status_code == 200, answer.text
    shown: Json = answer.json()
    return shown


async def seen(api: Api, campaign: str = "login-otp") -> Json:
    found = (await api.get("/v1/admin/campaigns", of="admin")).json()["data"]
    return next(one for one in found if one["name"] == campaign)


async def told(api: Api, of: str = "checkout") -> Json:
    """The campaign as a client sees it."""
    return next(
        one for one in (await api.get("/v1/campaigns", of=of)).json()["data"] if one["name"] == "login-otp"
    )


async def actions(api: Api, **params: str | int) -> list[Json]:
    return list((await api.get("/v1/admin/actions", of="admin", **params)).json()["data"])


async def test_a_paused_campaign_takes_messages_says_so_and_leases_nothing(api: Api) -> None:
    shown = await act(api, "pause")
    assert shown["state"] == "paused"
    assert shown["paused"] == {"since": shown["paused"]["since"], "by": "mai@ops", "key": FINGERPRINT,
                               "reason": "callers complain"}  # fmt: skip
    await api.sent()
    assert (await told(api))["state"] == "paused"
    assert (await told(api, "delivery"))["state"] == "paused"
    assert getattr(await api.lease("login-otp"), "held", None) == "paused"
    assert (await seen(api))["queued"] == 1
    assert "campaign login-otp is paused" in (await api.ask("GET", "/readyz", of=None)).json()["notes"]


async def test_a_drained_campaign_refuses_with_its_own_words_and_what_is_queued_goes(api: Api) -> None:
    first = await api.post(otp(), key="first")
    await act(api, "drain")
    answer = await api.post(otp(), key="second")
    problem = assert_problem(answer, 503, "campaign-draining")
    assert "drained" in problem["detail"]
    assert answer.headers["retry-after"] == "30"
    assert (await told(api))["state"] == "draining"
    again = await api.post(otp(), key="first")
    assert (again.status_code, again.content) == (202, first.content)
    assert getattr(await api.lease("login-otp"), "members", None)
    await act(api, "resume")
    assert (await api.post(otp(), key="second")).status_code == 202


async def test_a_drained_campaigns_items_of_a_batch_are_refused_and_the_others_taken(api: Api) -> None:
    await act(api, "drain")
    notice = {"campaign": "order-notice", "phone_number": "0901234567"}
    answer = await api.post({"messages": [otp(), notice]}, path="/v1/messages/batch")
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [one["status"] for one in results] == [503, 202]
    assert results[0]["error"]["type"].endswith("/campaign-draining")
    alone = await api.post({"messages": [otp()]}, path="/v1/messages/batch")
    assert alone.json()["results"][0]["error"]["type"].endswith("/campaign-draining")


async def test_resume_ends_a_pause_and_a_drain(api: Api) -> None:
    await act(api, "pause")
    both = await act(api, "drain")
    assert both["state"] == "paused"
    assert both["draining"]["reason"] == "callers complain"
    shown = await act(api, "resume")
    assert (shown["state"], shown["paused"], shown["draining"]) == ("running", None, None)


async def test_what_is_said_twice_is_answered_alike_and_recorded_once(api: Api) -> None:
    first, second = await act(api, "pause"), await act(api, "pause")
    assert first == second
    await act(api, "resume")
    await act(api, "resume")
    log = await actions(api)
    assert [one["action"] for one in log] == ["resume", "pause"]
    assert log[1] == {
        "id": log[1]["id"], "at": first["paused"]["since"], "action": "pause", "campaign": "login-otp",
        "event_id": None, "detail": None, "reason": "callers complain", "by": "mai@ops", "key": FINGERPRINT,
    }  # fmt: skip


async def test_the_log_has_pages(api: Api) -> None:
    for n in range(3):
        await act(api, "pause", {"reason": f"reason {n}"})
    page = (await api.get("/v1/admin/actions", of="admin", limit=2)).json()
    rest = (await api.get("/v1/admin/actions", of="admin", limit=2, cursor=page["next_cursor"])).json()
    assert [one["reason"] for one in page["data"] + rest["data"]] == ["reason 2", "reason 1", "reason 0"]
    assert rest["next_cursor"] is None
    wrong = await api.get("/v1/admin/actions", of="admin", cursor="nonsense")
    assert_problem(wrong, 422, "invalid-request")


@pytest.mark.parametrize(
    ("body", "at"),
    (
        ({}, ["/reason"]),
        ({"reason": ""}, ["/reason"]),
        ({"reason": "   "}, ["/reason"]),
        ({"reason": "x" * 257}, ["/reason"]),
        ({"reason": "a\nfalse line"}, ["/reason"]),
        ({"reason": 1, "by": ""}, ["/by", "/reason"]),
        ({"reason": "x", "by": "y" * 65}, ["/by"]),
        ({"reason": "x", "until": "noon"}, ["/until"]),
        ([], [""]),
    ),
    ids=("none", "empty", "blank", "long", "lines", "types", "by", "unknown", "list"),
)
async def test_an_action_without_a_proper_reason_is_refused_and_not_done(
    api: Api, body: object, at: list[str]
) -> None:
    for verb in ("pause", "drain", "resume"):
        answer = await api.post(body, path=f"/v1/admin/campaigns/login-otp/{verb}", of="admin")
        assert pointers(assert_problem(answer, 422, "invalid-request")) == at
    assert (await seen(api))["state"] == "running"
    assert await actions(api) == []


async def test_an_unknown_campaign_is_not_found_and_writes_nothing(api: Api) -> None:
    before = await api.keys()
    assert_problem(await api.post(WHY, path="/v1/admin/campaigns/other/pause", of="admin"), 404, "not-found")
    assert await api.keys() == before


async def test_the_list_counts_over_all_clients_and_tells_why_a_campaign_stands_still(
    make_api: MakeApi,
) -> None:
    api = await make_api(login_otp="max_per_hour = 4")
    mine, _ = await api.sent(), await api.sent(of="delivery", phone_number="0901234568")
    shown = await seen(api)
    assert (shown["state"], shown["queued"], shown["oldest_queued_at"]) == ("running", 2, mine["accepted_at"])
    assert shown["account"] == "main"
    assert shown["ceiling"] == {"max_per_hour": 4, "used": 0, "on_their_way": 0, "next_free_at": None}
    await api.lease("login-otp")
    leased = await seen(api)
    assert (leased["queued"], leased["imports_under_way"], leased["ceiling"]["on_their_way"]) == (0, 1, 2)
    assert (await seen(api, "order-notice"))["ceiling"] is None
    await api.redis_says(
        "HSET", "relay:{0}:hold:login-otp", "reason", "campaign_stopped", "next", 1_795_489_200_123
    )
    held = await seen(api)
    assert (held["state"], held["reason"]) == ("held", "campaign_stopped")
    assert held["probe_at"] == "2026-11-24T03:00:00.123Z"


async def test_the_used_part_of_the_hour_is_a_metric_where_there_is_a_ceiling(make_api: MakeApi) -> None:
    api = await make_api(login_otp="max_per_hour = 4")
    minute = int((await api.redis_says("TIME"))[0]) // 60
    await api.redis_says("HSET", "relay:{0}:hour:login-otp", minute, 3, minute - 70, 99)
    text = (await api.ask("GET", "/metrics", of=None)).text
    assert 'relay_campaign_ceiling_used_ratio{campaign="login-otp"} 0.75' in text
    assert 'relay_campaign_ceiling_used_ratio{campaign="order-notice"}' not in text
