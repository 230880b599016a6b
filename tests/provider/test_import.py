"""What an import's answer, or the lack of one, means: taken, not sent, refused, or nobody knows."""

from __future__ import annotations

import asyncio
import socket
import unicodedata

import pytest

from app.provider.client import Contact, ImportReceipt, ProviderClient, Taken
from app.provider.errors import Ambiguous, NotSent, ProviderError, Refusal, Refused
from app.secret import Secret

from .conftest import CONTACT, SECRET_KEY, TOKEN, ClientMaker
from .scripted import (
    Step,
    answer,
    answer_then_hang_up,
    drip,
    half_then_hang_up,
    hang_up,
    never_answer,
    raw,
    reset,
    serving,
)


def done(
    *results: object, message: object = "Ghi nhận thành công 1 trên 1 bản ghi", **more: object
) -> dict[str, object]:
    return {"status": 1, "message": message, "results": list(results), **more}


ONE = {"phone_number": "0901234567", "call_id": 1234}


async def imported(client_of: ClientMaker, step: Step, **options: object) -> ImportReceipt:
    async with serving(step) as server:
        return await client_of(server.base_url, **options).import_contacts("c1", TOKEN, [CONTACT])


async def failure(client_of: ClientMaker, step: Step, **options: object) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await imported(client_of, step, **options)
    return caught.value


# --- what is sent


async def test_an_import_carries_token_number_code_and_variables_as_json(client_of: ClientMaker) -> None:
    contact = Contact("+84901234567", Secret.of("004217"), {"danh_xung": "anh", "ho_ten": "Nguyễn Văn A"})
    async with serving(answer(done(ONE))) as server:
        await client_of(server.base_url).import_contacts("a/b c", TOKEN, [contact])
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/api/campaigns/a%2Fb%20c/import")
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert request.json == {
        "access_token": TOKEN.value.reveal(),
        "contacts": [
            {"danh_xung": "anh", "ho_ten": "Nguyễn Văn A", "phone_number": "0901234567", "otp_code": "004217"}
        ],
    }


async def test_a_notification_carries_no_code_and_a_configured_spelling(client_of: ClientMaker) -> None:
    async with serving(answer(done(ONE))) as server:
        client = client_of(server.base_url, number_format="e164")
        await client.import_contacts("c1", TOKEN, [Contact("+84901234567", None, {})])
    assert server.requests[0].json["contacts"] == [{"phone_number": "+84901234567"}]


async def test_a_variable_never_replaces_the_number_or_the_code(client_of: ClientMaker) -> None:
    variables = {"phone_number": "0900000000", "otp_code": "111111"}
    async with serving(answer(done(ONE))) as server:
        client = client_of(server.base_url)
        await client.import_contacts("c1", TOKEN, [Contact("+84901234567", Secret.of("004217"), variables)])
    assert server.requests[0].json["contacts"] == [{"phone_number": "0901234567", "otp_code": "004217"}]


@pytest.mark.parametrize("form", ("NFC", "NFD"), ids=repr)
async def test_vietnamese_leaves_byte_for_byte(client_of: ClientMaker, form: str) -> None:
    name = unicodedata.normalize(form, "Nguyễn Thị Hồng Phượng")  # type: ignore[arg-type]
    async with serving(answer(done(ONE))) as server:
        client = client_of(server.base_url)
        await client.import_contacts("c1", TOKEN, [Contact("+84901234567", None, {"ho_ten": name})])
    assert name.encode() in server.requests[0].body


# --- done


async def test_a_receipt_tells_who_was_taken_and_how_many_the_message_claims(client_of: ClientMaker) -> None:
    body = done(
        ONE,
        {"phone_number": "84 90 123 4568", "call_id": "77"},
        {"phone_number": "+84901234569", "call_id": ""},
        {"phone_number": 84901234560, "call_id": None},
        {"phone_number": "090xxxxxx", "call_id": 9},
        "not even an object",
        message="Ghi nhận thành công 7 trên 9 bản ghi",
    )
    assert await imported(client_of, answer(body)) == ImportReceipt(
        taken=(
            Taken("+84901234567", "1234"),
            Taken("+84901234568", "77"),
            Taken("+84901234569", None),
            Taken("+84901234560", None),
        ),
        claimed=7,
        total=9,
        unreadable=2,
    )


@pytest.mark.parametrize("status", (1, "1", True, 1.0), ids=repr)
async def test_done_is_one_however_it_is_written(client_of: ClientMaker, status: object) -> None:
    receipt = await imported(client_of, answer({**done(ONE), "status": status}))
    assert receipt.taken == (Taken("+84901234567", "1234"),)


@pytest.mark.parametrize("message", (None, "", "done", "thành công", 5), ids=repr)
async def test_a_message_without_counts_claims_nothing(client_of: ClientMaker, message: object) -> None:
    receipt = await imported(client_of, answer(done(ONE, message=message)))
    assert (receipt.claimed, receipt.total) == (None, None)


async def test_nobody_taken_is_a_receipt_too(client_of: ClientMaker) -> None:
    none = "Ghi nhận thành công 0 trên 1 bản ghi"
    nobody: tuple[list[object] | None, ...] = ([], None)
    for results in nobody:
        receipt = await imported(client_of, answer({"status": 1, "message": none, "results": results}))
        assert (receipt.taken, receipt.claimed) == ((), 0)


# --- refused


@pytest.mark.parametrize("status", (200, 400, 401, 403, 404, 409, 500), ids=repr)
@pytest.mark.parametrize(
    ("code", "refusal"),
    (
        ("401", Refusal.TOKEN), (401, Refusal.TOKEN),
        ("400", Refusal.CONTACTS), (400, Refusal.CONTACTS),
        ("01", Refusal.CAMPAIGN), (1, Refusal.CAMPAIGN),
        ("03", Refusal.STOPPED), (3, Refusal.STOPPED),
    ), ids=repr)  # fmt: skip
async def test_a_code_refuses_whichever_status_carries_it(
    client_of: ClientMaker, status: int, code: object, refusal: Refusal
) -> None:
    fault = await failure(client_of, answer({"status": 0, "code": code, "message": "không đúng"}, status))
    assert isinstance(fault, Refused)
    assert fault.code is refusal


@pytest.mark.parametrize(("status", "refusal"), ((400, Refusal.CONTACTS), (401, Refusal.TOKEN)), ids=repr)
async def test_a_refusal_without_a_code_has_it_in_its_status(
    client_of: ClientMaker, status: int, refusal: Refusal
) -> None:
    fault = await failure(client_of, answer({"status": "0", "message": "không"}, status))
    assert isinstance(fault, Refused)
    assert fault.code is refusal


@pytest.mark.parametrize(
    ("status", "refusal"), ((429, Refusal.THROTTLED), (413, Refusal.TOO_LARGE)), ids=repr
)
@pytest.mark.parametrize(
    "body", (b"", b"<html>no</html>", b'{"error": "x"}', b'{"status": 0, "code": "77"}'), ids=repr
)
async def test_throttled_and_too_large_are_told_by_the_status_alone(
    client_of: ClientMaker, status: int, refusal: Refusal, body: bytes
) -> None:
    fault = await failure(client_of, answer(body, status, retry_after="7"))
    assert isinstance(fault, Refused)
    assert (fault.code, fault.retry_after_s) == (refusal, 7.0)


async def test_a_throttle_whose_body_breaks_off_is_still_a_throttle(client_of: ClientMaker) -> None:
    fault = await failure(client_of, half_then_hang_up(b"<html>slow down, please</html>", 429))
    assert isinstance(fault, Refused)


async def test_a_retry_after_may_be_a_date(client_of: ClientMaker) -> None:
    step = answer(b"", 429, retry_after="Tue, 24 Nov 2026 03:00:30 GMT")
    fault = await failure(client_of, step, clock=lambda: 1795489200.0)
    assert isinstance(fault, Refused)
    assert fault.retry_after_s == 30.0


# --- nobody knows


@pytest.mark.parametrize(
    "step",
    (
        pytest.param(hang_up, id="closed after the request"),
        pytest.param(reset, id="reset after the request"),
        pytest.param(half_then_hang_up(done(ONE)), id="half an answer"),
        pytest.param(raw(b"\x00\x01 what is this\r\n\r\n"), id="no HTTP"),
        pytest.param(answer(b"<html>Bad gateway</html>", 502), id="HTML 502"),
        pytest.param(answer(b"", 500), id="empty 500"),
        pytest.param(answer(b"", 503, retry_after="5"), id="503"),
        pytest.param(answer(b"<html>sign in</html>"), id="HTML 200"),
        pytest.param(answer(b""), id="empty 200"),
        pytest.param(answer(b"", 204), id="204"),
        pytest.param(answer(b"", 401), id="401 of a gateway"),
        pytest.param(answer(b"", 302, location="/elsewhere"), id="redirect"),
        pytest.param(answer({"status": 0, "code": "99"}), id="unknown code"),
        pytest.param(answer({"status": 0, "code": ["01"]}), id="code of another shape"),
        pytest.param(answer({"status": 2}), id="unknown status"),
        pytest.param(answer({"ok": True}), id="another object"),
        pytest.param(answer([]), id="a list"),
        pytest.param(answer({"status": 1}), id="done without results"),
        pytest.param(answer({"status": 1, "results": {"0": ONE}}), id="results of another shape"),
        pytest.param(answer(done(ONE), 500), id="done, says a 500"),
        pytest.param(answer(done(ONE), 429), id="done, says a 429"),
        pytest.param(answer(b'{"status": 1, "results": [\xff]}'), id="no UTF-8"),
        pytest.param(answer(b'{"status": 1, "message": "' + b"x" * 5 * 1024 * 1024), id="5 MiB"),
        pytest.param(answer(b"not gzip", content_encoding="gzip"), id="gzip that is none"),
    ),
)
async def test_any_other_end_of_a_sent_import_is_ambiguous(client_of: ClientMaker, step: Step) -> None:
    assert isinstance(await failure(client_of, step), Ambiguous)


async def test_silence_is_ambiguous_after_the_timeout(client_of: ClientMaker) -> None:
    assert isinstance(await failure(client_of, never_answer, timeout_s=0.2), Ambiguous)


async def test_an_answer_that_drips_for_ever_ends_with_the_timeout(client_of: ClientMaker) -> None:
    assert isinstance(await failure(client_of, drip(b" "), timeout_s=0.3), Ambiguous)


@pytest.mark.parametrize("first", (hang_up, reset))
async def test_an_import_is_never_silently_sent_twice(client_of: ClientMaker, first: Step) -> None:
    async with serving(first, answer(done(ONE))) as server:
        with pytest.raises(Ambiguous):
            await client_of(server.base_url).import_contacts("c1", TOKEN, [CONTACT])
    assert len(server.requests) == 1


async def test_a_redirect_is_not_followed(client_of: ClientMaker) -> None:
    async with serving(answer(b"", 307, location="/api/elsewhere"), answer(done(ONE))) as server:
        with pytest.raises(Ambiguous):
            await client_of(server.base_url).import_contacts("c1", TOKEN, [CONTACT])
    assert len(server.requests) == 1


async def test_each_import_has_a_connection_of_its_own_so_a_closed_one_is_never_met(
    client_of: ClientMaker,
) -> None:
    async with serving(answer_then_hang_up(done(ONE))) as server:
        client = client_of(server.base_url)
        for _ in range(5):
            await client.import_contacts("c1", TOKEN, [CONTACT])
    assert server.connections == len(server.requests) == 5
    assert server.requests[0].headers["connection"] == "close"


# --- not sent


async def test_a_refused_connection_sent_nothing(client_of: ClientMaker) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        client = client_of(f"http://127.0.0.1:{unheard.getsockname()[1]}")
        with pytest.raises(NotSent):
            await client.import_contacts("c1", TOKEN, [CONTACT])


async def test_a_name_that_does_not_resolve_sent_nothing(client_of: ClientMaker) -> None:
    with pytest.raises(NotSent):
        await client_of("http://nowhere.invalid").import_contacts("c1", TOKEN, [CONTACT])


async def test_a_connection_that_is_never_accepted_sent_nothing(client_of: ClientMaker) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address):  # the backlog of one is taken
            client = client_of(f"http://127.0.0.1:{address[1]}", timeout_s=0.4)
            with pytest.raises(NotSent):
                await client.import_contacts("c1", TOKEN, [CONTACT])


async def test_a_handshake_that_never_ends_sent_nothing(client_of: ClientMaker) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        client = client_of(f"https://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.4)
        with pytest.raises(NotSent):
            await client.import_contacts("c1", TOKEN, [CONTACT])


async def test_an_import_that_may_no_longer_leave_writes_nothing(client_of: ClientMaker) -> None:
    async with serving(answer(done(ONE))) as server:
        client = client_of(server.base_url)
        with pytest.raises(NotSent):
            await client.import_contacts("c1", TOKEN, [CONTACT], may_leave=lambda: False)
        assert server.requests == []
        await client.import_contacts("c1", TOKEN, [CONTACT], may_leave=lambda: True)
    assert len(server.requests) == 1


async def test_a_closed_client_sends_nothing(client_of: ClientMaker) -> None:
    async with serving(answer(done(ONE))) as server:
        client = client_of(server.base_url)
        await client.import_contacts("c1", TOKEN, [CONTACT])
        await client.aclose()
        with pytest.raises(NotSent):
            await client.import_contacts("c1", TOKEN, [CONTACT])


# --- nothing leaks


_QUOTING = f"POST http://localhost/api/?access_token={TOKEN.value.reveal()} otp_code 004217 for 0901234567"
"""As a provider's error page may repeat what it was sent."""


@pytest.mark.parametrize(
    "step",
    (
        pytest.param(hang_up, id="ambiguous, closed"),
        pytest.param(reset, id="ambiguous, reset"),
        pytest.param(answer(f"<h1>500</h1>{_QUOTING}".encode(), 500), id="ambiguous, 500"),
        pytest.param(answer({"status": 0, "code": "01", "message": _QUOTING}), id="refused"),
        pytest.param(answer({"status": 1, "message": _QUOTING}), id="ambiguous, no results"),
    ),
)
async def test_an_error_carries_no_url_token_number_or_code(
    client_of: ClientMaker, step: Step, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    fault = await failure(client_of, step)
    told = "".join(_whole_story(fault)) + caplog.text
    for secret in (TOKEN.value.reveal(), SECRET_KEY, "localhost", "901234567", "004217", "/api/"):
        assert secret not in told


def _whole_story(fault: BaseException | None) -> list[str]:
    """Everything a logger might print of an exception, hidden contexts included."""
    if fault is None:
        return []
    return [str(fault), repr(fault), *_whole_story(fault.__cause__), *_whole_story(fault.__context__)]


async def test_imports_at_the_same_time_do_not_mistake_each_others_progress(client_of: ClientMaker) -> None:
    async with serving(never_answer) as server:
        client: ProviderClient = client_of(server.base_url, timeout_s=0.4)
        faults = await asyncio.gather(
            client.import_contacts("c1", TOKEN, [CONTACT]),
            client.import_contacts("c1", TOKEN, [CONTACT], may_leave=lambda: False),
            return_exceptions=True,
        )
    assert [type(fault) for fault in faults] == [Ambiguous, NotSent]
