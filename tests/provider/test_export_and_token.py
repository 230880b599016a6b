"""Exports and tokens: questions that change nothing, so that all that is not an answer may be asked again."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import unicodedata
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.provider.client import CallRow, ExportPage, ProviderClient
from app.provider.errors import NotSent, ProviderError, Refusal, Refused, Unreadable

from .conftest import SECRET_KEY, TOKEN, ClientMaker
from .scripted import (
    Step,
    answer,
    answer_then_hang_up,
    half_then_hang_up,
    hang_up,
    never_answer,
    reset,
    serving,
)

ROW = {
    "call_id": "1234",
    "caller_id": "02471000000",
    "callee_id": "0901234567",
    "called_at": "2026-11-24 10:00:01",
    "duration": 8,
    "key_press": "1 (29)",
    "note": "NORMAL CLEARING",
    "state": 40,
}


def page(*calls: object, total: object = 1) -> dict[str, object]:
    return {"status": 1, "results": {"limit": 10, "total": total, "calls": list(calls)}}


async def exported(client: ProviderClient) -> ExportPage:
    return await client.export_campaign("c1", TOKEN, start_ms=1, end_ms=2, limit=500, offset=37)


async def row_of(client_of: ClientMaker, **fields: object) -> CallRow:
    async with serving(answer(page({**ROW, **fields}))) as server:
        (row,) = (await exported(client_of(server.base_url))).rows
    return row


# --- exports


async def test_a_campaigns_export_asks_for_a_window_and_a_page(client_of: ClientMaker) -> None:
    async with serving(answer(page(ROW, total=1000))) as server:
        got = await exported(client_of(server.base_url))
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/api/campaigns/c1/export")
    assert request.query == {
        "access_token": TOKEN.value.reveal(), "start_time": "1", "end_time": "2", "limit": "500", "offset": "37",
    }  # fmt: skip
    assert got == ExportPage(
        rows=(
            CallRow(
                call_id="1234",
                caller_id="02471000000",
                callee="+84901234567",
                called_at=datetime(2026, 11, 24, 3, 0, 1, tzinfo=UTC),
                called_at_text="2026-11-24T10:00:01+07:00",
                duration=8,
                key_press="1 (29)",
                keys=("1",),
                note="NORMAL CLEARING",
                state=40,
            ),
        ),
        total=1000,
        raw_count=1,
    )


async def test_an_accounts_call_log_is_read_alike_without_a_limit_in_it(client_of: ClientMaker) -> None:
    async with serving(answer({"status": 1, "results": {"total": "1", "calls": [ROW]}})) as server:
        client = client_of(server.base_url)
        got = await client.export_account(TOKEN, start_ms=1, end_ms=2, limit=500, offset=0)
    assert server.requests[0].path == "/api/users/call-log"
    assert (len(got.rows), got.total) == (1, 1)


@pytest.mark.parametrize(
    ("sent", "text"),
    ((1234, "1234"), ("1234", "1234"), (1234.0, "1234"), ("", ""), (None, ""), ("0012", "0012")),
    ids=repr,
)
async def test_a_call_id_is_text_whatever_was_sent(client_of: ClientMaker, sent: object, text: str) -> None:
    assert (await row_of(client_of, call_id=sent)).call_id == text


@pytest.mark.parametrize("spelling", ("0901234567", "84901234567", "+84 90 123 45 67", 84901234567), ids=repr)
async def test_a_callee_is_e164_whatever_its_spelling(client_of: ClientMaker, spelling: object) -> None:
    assert (await row_of(client_of, callee_id=spelling)).callee == "+84901234567"


async def test_numbers_may_come_as_strings(client_of: ClientMaker) -> None:
    row = await row_of(client_of, duration="8", state="40")
    assert (row.duration, row.state) == (8, 40)


@pytest.mark.parametrize("state", (10, 0, None, "ringing", ""), ids=repr)
async def test_a_call_under_way_has_no_final_state(client_of: ClientMaker, state: object) -> None:
    assert (await row_of(client_of, state=state, duration=None)).state not in (40, 50)


@pytest.mark.parametrize(
    ("history", "keys"),
    (
        ("1 (29)", ("1",)),
        ("", ()),
        (None, ()),
        ("1 (29), 2 (31)", ("1", "2")),
        ("1 (29) # (30)", ("1", "#")),
        (1, ("1",)),
    ),
    ids=repr,
)
async def test_keys_are_what_was_pressed_without_when(
    client_of: ClientMaker, history: object, keys: tuple[str, ...]
) -> None:
    assert (await row_of(client_of, key_press=history)).keys == keys


@pytest.mark.parametrize(
    "written",
    (None, "", "0000-00-00 00:00:00", "1970-01-01 07:00:00", "soon", 1580440604, "9999-12-31 23:59:59"),
    ids=repr,
)
async def test_a_time_that_is_none_is_none(client_of: ClientMaker, written: object) -> None:
    row = await row_of(client_of, called_at=written)
    assert (row.called_at, row.called_at_text) == (None, None)


async def test_a_time_with_its_own_offset_is_believed(client_of: ClientMaker) -> None:
    row = await row_of(client_of, called_at="2026-11-24T03:00:01Z")
    assert row.called_at == datetime(2026, 11, 24, 3, 0, 1, tzinfo=UTC)
    assert row.called_at_text == "2026-11-24T10:00:01+07:00"


async def test_a_row_that_cannot_be_read_harms_no_other_and_counts(client_of: ClientMaker) -> None:
    broken: tuple[object, ...] = ("text", 7, None, [], {**ROW, "call_id": {"deep": 1}})
    async with serving(answer(page(*broken, ROW, total=None))) as server:
        got = await exported(client_of(server.base_url))
    assert (len(got.rows), got.raw_count, got.total) == (1, 6, None)


@pytest.mark.parametrize("form", ("NFC", "NFD"), ids=repr)
async def test_a_note_in_vietnamese_arrives_untouched(client_of: ClientMaker, form: str) -> None:
    note = unicodedata.normalize(form, "Thuê bao không liên lạc được")  # type: ignore[arg-type]
    assert (await row_of(client_of, note=note)).note == note


async def test_a_page_may_be_packed(client_of: ClientMaker) -> None:
    packed = gzip.compress(json.dumps(page(ROW)).encode())
    async with serving(answer(packed, content_encoding="gzip")) as server:
        assert len((await exported(client_of(server.base_url))).rows) == 1


async def test_a_small_packed_page_that_unpacks_past_the_bound_is_unreadable(client_of: ClientMaker) -> None:
    packed = gzip.compress(json.dumps(page()).encode() + b" " * 17 * 1024 * 1024)
    async with serving(answer(packed, content_encoding="gzip")) as server:
        with pytest.raises(Unreadable):
            await exported(client_of(server.base_url))


@pytest.mark.parametrize("status", (200, 401, 404, 500), ids=repr)
@pytest.mark.parametrize(
    ("code", "refusal"), (("401", Refusal.TOKEN), ("01", Refusal.CAMPAIGN), (1, Refusal.CAMPAIGN)), ids=repr
)
async def test_an_export_is_refused_by_code(
    client_of: ClientMaker, status: int, code: object, refusal: Refusal
) -> None:
    async with serving(answer({"status": 0, "code": code}, status)) as server:
        with pytest.raises(Refused) as caught:
            await exported(client_of(server.base_url))
    assert caught.value.code is refusal


NO_ANSWERS = (
    pytest.param(hang_up, id="closed after the request"),
    pytest.param(reset, id="reset after the request"),
    pytest.param(half_then_hang_up(page(ROW)), id="half an answer"),
    pytest.param(answer(b"<html>", 502), id="HTML 502"),
    pytest.param(answer(b""), id="empty 200"),
    pytest.param(answer({"status": 0, "code": "03"}), id="a code of imports"),
    pytest.param(answer({"status": 0, "code": "99"}), id="unknown code"),
    pytest.param(answer({"status": 1}), id="no results"),
    pytest.param(answer({"status": 1, "results": None}), id="null for results"),
    pytest.param(answer({"status": 1, "results": [ROW]}), id="results in a list"),
    pytest.param(answer({"status": 1, "results": {}}), id="empty results"),
    pytest.param(answer({"status": 1, "results": {"total": 3}}), id="a total without calls"),
    pytest.param(answer({"status": 1, "results": {"calls": {}}}), id="calls of another shape"),
    pytest.param(answer(page(ROW), 500), id="done, says a 500"),
)


@pytest.mark.parametrize(
    "results", ([], {"total": 0}, {"total": 0, "calls": None}, {"limit": 10, "calls": []}), ids=repr
)
async def test_an_export_without_a_row_may_say_so_in_several_ways(
    client_of: ClientMaker, results: object
) -> None:
    async with serving(answer({"status": 1, "results": results})) as server:
        got = await exported(client_of(server.base_url))
    assert (got.rows, got.raw_count, got.total in (0, None)) == ((), 0, True)


@pytest.mark.parametrize("step", NO_ANSWERS)
async def test_an_export_that_is_no_answer_may_be_asked_again(client_of: ClientMaker, step: Step) -> None:
    async with serving(step) as server:
        with pytest.raises(Unreadable):
            await exported(client_of(server.base_url))


async def test_a_silent_export_ends_with_the_timeout(client_of: ClientMaker) -> None:
    async with serving(never_answer) as server:
        with pytest.raises(Unreadable):
            await exported(client_of(server.base_url, timeout_s=0.2))


async def test_exports_share_a_connection_and_survive_its_closing(client_of: ClientMaker) -> None:
    async with serving(answer(page(ROW)), answer_then_hang_up(page(ROW)), answer(page(ROW))) as server:
        client = client_of(server.base_url)
        for _ in range(3):
            await exported(client)
    assert server.connections == 2


# --- tokens


def jwt(claims: object) -> str:
    def part(of: object) -> str:
        return urlsafe_b64encode(json.dumps(of).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part(claims)}.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("token", "expires_at_ms"),
    (
        (jwt({"iat": 1, "exp": 1795489200}), 1795489200000),
        (jwt({"exp": "1795489200"}), 1795489200000),
        (jwt({"iat": 1}), None),
        (jwt({"exp": None}), None),
        (jwt({"exp": {}}), None),
        (jwt([]), None),
        ("opaque", None),
        ("a.b.c", None),
        ("..", None),
    ),
    ids=repr,
)
async def test_a_token_knows_its_expiry_where_it_has_one(
    client_of: ClientMaker, token: str, expires_at_ms: int | None
) -> None:
    async with serving(answer({"status": 1, "results": {"access_token": token}})) as server:
        made = await client_of(server.base_url).make_token()
    assert (made.value.reveal(), made.expires_at_ms) == (token, expires_at_ms)
    assert token not in repr(made)
    (request,) = server.requests
    assert (request.path, request.query) == ("/api/users/generate-access-token", {"secret_key": SECRET_KEY})


@pytest.mark.parametrize("status", (200, 401, 500), ids=repr)
@pytest.mark.parametrize("code", ("401", 401), ids=repr)
async def test_a_wrong_secret_key_is_told_from_a_wrong_token(
    client_of: ClientMaker, status: int, code: object
) -> None:
    async with serving(
        answer({"status": 0, "code": code, "message": "secret_key không chính xác"}, status)
    ) as server:
        with pytest.raises(Refused) as caught:
            await client_of(server.base_url).make_token()
    assert caught.value.code is Refusal.SECRET_KEY


@pytest.mark.parametrize(
    "step",
    (
        *NO_ANSWERS,
        pytest.param(answer({"status": 1, "results": {"access_token": ""}}), id="empty token"),
        pytest.param(answer({"status": 1, "results": {"access_token": 5}}), id="token of another type"),
        pytest.param(
            answer({"status": 1, "results": {"access_token": "line\nbreak"}}), id="token that breaks a line"
        ),
    ),
)
async def test_a_token_that_is_none_may_be_asked_for_again(client_of: ClientMaker, step: Step) -> None:
    async with serving(step) as server:
        with pytest.raises(Unreadable) as caught:
            await client_of(server.base_url).make_token()
    assert_tells_nothing(caught.value)


async def test_a_token_that_was_not_asked_for_tells_nothing_either(client_of: ClientMaker) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        client = client_of(f"http://127.0.0.1:{unheard.getsockname()[1]}")
        with pytest.raises(NotSent) as caught:
            await client.make_token()
    assert_tells_nothing(caught.value)


def assert_tells_nothing(fault: ProviderError) -> None:
    story: list[str] = []
    one: BaseException | None = fault
    while one is not None:
        story += [str(one), repr(one)]
        one = one.__cause__ or one.__context__
    for secret in ("secret_key=", "the+secret", SECRET_KEY, "http://", "127.0.0.1", "localhost"):
        assert secret not in "".join(story)


# --- the provider's clock


async def test_the_provider_clock_is_learned_and_one_odd_answer_moves_nothing(client_of: ClientMaker) -> None:
    now = 1795489200.0
    dates = [now - 86400, now + 180, now + 180, now + 180]
    async with serving(*[answer(page(), date=formatdate(at, usegmt=True)) for at in dates]) as server:
        client = client_of(server.base_url, clock=lambda: now)
        assert client.clock_offset_ms is None
        for _ in dates:
            await exported(client)
    assert client.clock_offset_ms == 180_500


@pytest.mark.parametrize("date", ("", "yesterday", "Tue, 99 Nov 2026 03:00:30 GMT"), ids=repr)
async def test_a_date_that_is_none_teaches_nothing(client_of: ClientMaker, date: str) -> None:
    async with serving(answer(page(), date=date)) as server:
        client = client_of(server.base_url)
        await exported(client)
    assert client.clock_offset_ms is None


# --- TLS and surroundings


@pytest.fixture(scope="module")
def own_ca(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate of one's own for localhost, and a server context that shows it."""
    folder = tmp_path_factory.mktemp("ca")
    certificate, key = write_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


def write_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "ca.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pem, private


async def test_a_bundle_of_ones_own_is_trusted_and_nothing_else(
    client_of: ClientMaker, own_ca: tuple[Path, ssl.SSLContext]
) -> None:
    bundle, context = own_ca
    async with serving(answer(page(ROW)), context=context) as server:
        assert (await exported(client_of(server.base_url, ca_file=bundle))).raw_count == 1
        with pytest.raises(NotSent):
            await exported(client_of(server.base_url))
    assert len(server.requests) == 1


async def test_a_proxy_in_the_environment_is_ignored(
    client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(answer(page(ROW))) as server:
        assert (await exported(client_of(server.base_url))).raw_count == 1


@pytest.mark.parametrize("status", (301, 302, 303, 307, 308))
async def test_a_redirect_of_a_question_is_not_followed(client_of: ClientMaker, status: int) -> None:
    """Its URL carries the token, which another host would be given."""
    async with (
        serving(answer(page(ROW))) as elsewhere,
        serving(answer(b"", status, location=f"{elsewhere.base_url}/api/users/call-log")) as server,
    ):
        with pytest.raises(ProviderError):
            await exported(client_of(server.base_url))
    assert (len(server.requests), elsewhere.connections) == (1, 0)


async def test_the_environment_cannot_have_the_keys_of_connections_written_down(
    client_of: ClientMaker,
    own_ca: tuple[Path, ssl.SSLContext],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle, context = own_ca
    file = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(file))
    async with serving(answer(page(ROW)), context=context) as server:
        assert (await exported(client_of(server.base_url, ca_file=bundle))).raw_count == 1
    assert not file.exists() or "SECRET" not in file.read_text()
