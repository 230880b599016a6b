import base64
import json
from datetime import timedelta

from app.sandbox.accounts import Account
from tests.sandbox.desk import Desk, contact

WRONG_TOKEN = {
    "status": 0,
    "code": "401",
    "message": "access token không chính xác. bạn không có quyền truy cập",
}


def test_a_token_is_a_jwt_that_lives_until_its_exp() -> None:
    account = Account("s", timedelta(hours=1))
    token = account.make_token(1_000_000)
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["exp"] - claims["iat"] == 3600
    assert account.accepts(token, claims["exp"] * 1000 - 1)
    assert not account.accepts(token, claims["exp"] * 1000)


def test_a_token_that_was_tampered_with_or_made_from_another_key_is_dead() -> None:
    account, other = Account("s", timedelta(hours=1)), Account("t", timedelta(hours=1))
    header, _, signature = account.make_token(0).split(".")
    forged = base64.urlsafe_b64encode(b'{"sub":"sandbox","jti":99,"iat":0}').decode().rstrip("=")
    assert not account.accepts(f"{header}.{forged}.{signature}", 0)
    assert not account.accepts(other.make_token(0), 0)
    for junk in ("", ".", "..", "sbx_", "sbx_~", "é.ü.ñ"):
        assert not account.accepts(junk, 0)


async def test_a_wrong_secret_key_makes_no_token(desk: Desk) -> None:
    assert await desk.make_token("wrong") == {
        "status": 0,
        "code": "401",
        "message": "secret_key không chính xác",
    }


async def test_killed_tokens_are_refused_by_each_call_and_a_new_one_works(desk: Desk) -> None:
    await desk.make_token()
    await desk.http.post("/sandbox/tokens/kill")
    assert (await desk.send(contact("0901234567"))).json() == WRONG_TOKEN
    assert await desk.export() == WRONG_TOKEN
    answer = await desk.http.get("/api/users/call-log", params={"access_token": desk.token})
    assert answer.json() == WRONG_TOKEN
    await desk.make_token()
    assert (await desk.export())["status"] == 1


async def test_a_changed_secret_key_kills_the_old_one_and_its_tokens(desk: Desk) -> None:
    await desk.make_token()
    await desk.http.put("/sandbox/secret-key", json={"secret_key": "another"})
    assert await desk.export() == WRONG_TOKEN
    assert (await desk.make_token())["status"] == 0
    assert (await desk.make_token("another"))["status"] == 1


async def test_making_a_token_may_kill_the_one_before(desk: Desk) -> None:
    await desk.fault("single_token")
    await desk.make_token()
    first = desk.token
    await desk.make_token()
    assert (await desk.export())["status"] == 1
    desk.token = first
    assert await desk.export() == WRONG_TOKEN


async def test_tokens_may_carry_no_exp_or_be_no_jwt(desk: Desk) -> None:
    await desk.fault("token_shape", form="without_exp")
    await desk.make_token()
    assert "exp" not in json.loads(base64.urlsafe_b64decode(desk.token.split(".")[1] + "=="))
    assert (await desk.export())["status"] == 1
    await desk.fault("token_shape", form="opaque")
    await desk.make_token()
    assert "." not in desk.token
    assert (await desk.export())["status"] == 1
