"""One attempt against destinations that behave, misbehave, and mean harm."""

from __future__ import annotations

import asyncio
import socket
import time
from email.utils import formatdate

import pytest
from standardwebhooks.webhooks import Webhook

from app.callbacks.delivery import Attempt, CallbackSender, Verdict
from app.callbacks.signing import Signer, generate_secret
from app.secret import Secret
from tests.callbacks.conftest import MakeSender
from tests.callbacks.destination import LOOPBACK_LISTED, Destination, answering, listening, policy

BODY = b'{"type":"message.answered"}'


async def send(sender: CallbackSender, url: str) -> Attempt:
    return await sender.send(url, LOOPBACK_LISTED, {"webhook-id": "evt_1"}, BODY)


async def test_a_signed_callback_arrives_as_it_was_signed(
    make_sender: MakeSender, destination: Destination
) -> None:
    key = generate_secret()
    headers = Signer([Secret.of(key)]).headers("evt_1", int(time.time()), BODY)
    attempt = await make_sender().send(destination.url("/a%2Fb/../c?d=e%20f"), LOOPBACK_LISTED, headers, BODY)
    assert (attempt.verdict, attempt.status, attempt.error) == (Verdict.DELIVERED, 200, None)
    [(head, body)] = destination.requests
    lines = head.decode().rstrip().split("\r\n")
    received = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    assert lines[0] == "POST /a%2Fb/../c?d=e%20f HTTP/1.1"
    assert received["host"] == f"127.0.0.1:{destination.port}"
    assert received["content-type"] == "application/json"
    assert body == BODY
    Webhook(key).verify(body, received)


@pytest.mark.parametrize("status", (200, 201, 202, 204, 299))
async def test_any_2xx_is_a_receipt(make_sender: MakeSender, destination: Destination, status: int) -> None:
    destination.script = answering(f"HTTP/1.1 {status} Fine\r\ncontent-length: 0\r\n\r\n".encode())
    attempt = await send(make_sender(), destination.url())
    assert (attempt.verdict, attempt.status) == (Verdict.DELIVERED, status)


@pytest.mark.parametrize("status", (400, 401, 404, 409, 429, 500, 502, 503, 599))
async def test_other_answers_are_tried_again(
    make_sender: MakeSender, destination: Destination, status: int
) -> None:
    destination.script = answering(f"HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n".encode())
    attempt = await send(make_sender(), destination.url())
    assert (attempt.verdict, attempt.status, attempt.error) == (Verdict.RETRY, status, "not a 2xx answer")


async def test_410_ends_it_at_once(make_sender: MakeSender, destination: Destination) -> None:
    destination.script = answering(b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n")
    attempt = await send(make_sender(), destination.url())
    assert (attempt.verdict, attempt.status) == (Verdict.GONE, 410)


@pytest.mark.parametrize("status", (300, 301, 302, 303, 307, 308))
async def test_a_redirect_is_not_followed(
    make_sender: MakeSender, destination: Destination, status: int
) -> None:
    async with listening(Destination()) as elsewhere:
        head = f"HTTP/1.1 {status} Moved\r\nlocation: {elsewhere.url()}\r\ncontent-length: 0\r\n\r\n"
        destination.script = answering(head.encode())
        attempt = await send(make_sender(), destination.url())
        assert (attempt.verdict, attempt.status) == (Verdict.RETRY, status)
        assert attempt.error == "redirects are not followed"
        assert elsewhere.connections == 0
    assert len(destination.requests) == 1


async def test_retry_after_is_read_from_either_form(
    make_sender: MakeSender, destination: Destination
) -> None:
    sender = make_sender()
    for value, low, high in (("90", 90, 90), (formatdate(time.time() + 90, usegmt=True), 85, 91)):
        destination.script = answering(
            f"HTTP/1.1 503 Busy\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n".encode()
        )
        attempt = await send(sender, destination.url())
        assert attempt.retry_after_s is not None
        assert low <= attempt.retry_after_s <= high


async def test_a_retry_after_that_cannot_be_read_is_none(
    make_sender: MakeSender, destination: Destination
) -> None:
    destination.script = answering(b"HTTP/1.1 503 x\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n")
    assert (await send(make_sender(), destination.url())).retry_after_s is None


async def test_a_short_answer_s_connection_serves_again(
    make_sender: MakeSender, destination: Destination
) -> None:
    sender = make_sender()
    for _ in range(3):
        await send(sender, destination.url())
    assert (destination.connections, len(destination.requests)) == (1, 3)


async def test_a_body_that_drips_holds_nothing_and_the_status_stands(
    make_sender: MakeSender, destination: Destination
) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    destination.script = drip
    attempt = await send(make_sender(timeout_s=30), destination.url())
    assert (attempt.verdict, attempt.status) == (Verdict.DELIVERED, 200)
    async with asyncio.timeout(5):
        await destination.closed.wait()


async def test_a_body_still_under_way_at_the_deadline_does_not_turn_a_receipt_into_a_retry(
    make_sender: MakeSender, destination: Destination
) -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        await reader.read()

    destination.script = late
    attempt = await send(make_sender(timeout_s=0.3), destination.url())
    assert attempt.verdict is Verdict.DELIVERED


async def test_a_huge_body_is_not_read(make_sender: MakeSender, destination: Destination) -> None:
    written = 0

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        while True:
            writer.write(bytes(65_536))
            await writer.drain()
            written += 65_536

    destination.script = pour
    attempt = await send(make_sender(), destination.url())
    assert attempt.verdict is Verdict.DELIVERED
    async with asyncio.timeout(5):
        await destination.closed.wait()
    assert written < 50_000_000


async def test_a_compressed_bomb_is_not_unpacked(make_sender: MakeSender, destination: Destination) -> None:
    destination.script = answering(
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 8\r\n\r\nnot gzip"
    )
    sender = make_sender()
    assert (await send(sender, destination.url())).verdict is Verdict.DELIVERED
    await send(sender, destination.url())
    assert destination.connections == 1  # an attempt to unpack would have broken the connection


async def test_a_destination_that_never_answers_is_left_at_the_time_out(
    make_sender: MakeSender, destination: Destination
) -> None:
    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    destination.script = hang
    attempt = await send(make_sender(timeout_s=0.2), destination.url())
    assert (attempt.verdict, attempt.status) == (Verdict.RETRY, None)
    assert attempt.error == "timed out waiting for an answer"
    assert attempt.took_s < 2
    async with asyncio.timeout(5):
        await destination.closed.wait()


@pytest.mark.parametrize("piece", (b"x-drip: 1\r\n", b"\r\nHTTP/1.1 100 Continue\r\n"))
async def test_headers_that_drip_are_left_at_the_time_out(
    make_sender: MakeSender, destination: Destination, piece: bytes
) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n")
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)

    destination.script = drip
    attempt = await send(make_sender(timeout_s=0.3), destination.url())
    assert (attempt.verdict, attempt.error) == (Verdict.RETRY, "timed out waiting for an answer")


@pytest.mark.parametrize(
    ("raw", "error"),
    (
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000 + b"\r\n\r\n", "answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000 + b"\r\n", "answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: s3cret\r\n\r\n", "answer is not HTTP"),
    ),
)
async def test_an_answer_that_is_not_http_is_tried_again(
    make_sender: MakeSender, destination: Destination, raw: bytes, error: str
) -> None:
    destination.script = answering(raw)
    attempt = await send(make_sender(), destination.url())
    assert (attempt.verdict, attempt.status, attempt.error) == (Verdict.RETRY, None, error)


@pytest.mark.parametrize(
    ("abort", "error"), ((False, "connection closed without an answer"), (True, "connection reset"))
)
async def test_a_connection_that_ends_unanswered_is_tried_again(
    make_sender: MakeSender, destination: Destination, abort: bool, error: str
) -> None:
    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if abort:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
        writer.close()

    destination.script = leave
    attempt = await send(make_sender(), destination.url())
    assert (attempt.verdict, attempt.status) == (Verdict.RETRY, None)
    assert attempt.error in {error, "connection closed without an answer"}


async def test_nobody_listening_is_said_in_short(make_sender: MakeSender) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/hooks/s3cret?token=s3cret"
        attempt = await send(make_sender(), url)
    assert (attempt.verdict, attempt.status, attempt.error) == (Verdict.RETRY, None, "connect refused")
    assert "s3cret" not in repr(attempt)


async def test_a_url_no_longer_allowed_is_not_asked(
    make_sender: MakeSender, destination: Destination
) -> None:
    attempt = await make_sender().send(destination.url("/s3cret"), policy("https://elsewhere"), {}, BODY)
    assert attempt.verdict is Verdict.RETRY
    assert attempt.error is not None
    assert attempt.error.startswith("url not allowed: ")
    assert "s3cret" not in attempt.error
    assert destination.connections == 0


async def test_proxies_of_the_environment_are_ignored(
    make_sender: MakeSender, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(Destination()) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert (await send(make_sender(), destination.url())).verdict is Verdict.DELIVERED
        assert proxy.connections == 0


async def test_a_cookie_is_not_brought_back(make_sender: MakeSender, destination: Destination) -> None:
    destination.script = answering(b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n")
    sender = make_sender()
    await send(sender, destination.url())
    await send(sender, destination.url())
    assert b"cookie" not in destination.requests[1][0].lower()


async def test_a_hanging_destination_delays_no_other(
    make_sender: MakeSender, destination: Destination
) -> None:
    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    sender = make_sender(timeout_s=30)
    async with listening(Destination(script=hang)) as slow:
        held = [asyncio.ensure_future(send(sender, slow.url())) for _ in range(20)]
        attempts = [await send(sender, destination.url()) for _ in range(20)]
        assert {attempt.verdict for attempt in attempts} == {Verdict.DELIVERED}
        assert not any(task.done() for task in held)
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


async def test_a_cancelled_attempt_is_cancelled(make_sender: MakeSender, destination: Destination) -> None:
    reached = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()

    destination.script = hang
    task = asyncio.ensure_future(send(make_sender(), destination.url()))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_attempt_that_breaks_in_some_other_way_is_a_failed_one_that_shows_nothing(
    make_sender: MakeSender, destination: Destination
) -> None:
    """One that raised would be leased, and made, again and again."""
    headers = {"traceparent": "s3cret\r\nx-injected: s3cret"}
    attempt = await make_sender().send(destination.url(), LOOPBACK_LISTED, headers, BODY)
    assert (attempt.verdict, attempt.status, attempt.refused) == (Verdict.RETRY, None, False)
    assert attempt.error == "request failed: ValueError"
    assert destination.requests == []


async def test_what_was_refused_here_is_told_from_what_failed_there(
    make_sender: MakeSender, destination: Destination
) -> None:
    sender = make_sender()
    for url, allowed in (
        (destination.url(), policy("http://elsewhere:*")),
        (destination.url(host="localhost"), policy("http://localhost:*")),
    ):
        assert (await sender.send(url, allowed, {}, BODY)).refused
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert not (await send(sender, f"http://127.0.0.1:{unused.getsockname()[1]}/")).refused
