"""Answers that mean harm: each ends within the time-out, costs bounded memory, and says nothing but its status."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic

import pytest

from app.callbacks.bounded import LARGEST_ANSWER
from app.callbacks.delivery import Verdict
from app.message import CallbackState
from tests.callbacks.conftest import MakeSender
from tests.callbacks.destination import LOOPBACK_LISTED, Destination, Script, answering, listening
from tests.servers import valkey_server
from tests.workers.consumers import office

TOO_LARGE = (None, "answer is too large")
NO_HTTP = (None, "answer is not HTTP")
WAITING = (None, "timed out waiting for an answer")
UNANSWERED = (None, "connection closed without an answer")
TAKEN = (200, None)
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def pouring(head: bytes, rest: bytes, pause_s: float = 0) -> Script:
    """The head, then the rest again and again, as fast as it is taken or with pauses."""

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(rest)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return script


def closing(raw: bytes) -> Script:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        writer.close()

    return script


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def _head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


BOMB = gzip.compress(bytes(20_000_000))[:20_000]
HOSTILE: dict[str, tuple[Script, tuple[int | None, str | None]]] = {
    "says nothing": (silent, WAITING),
    "drips its status line": (pouring(b"HTTP/1.1 2", b"0", 0.05), NO_HTTP),
    "drips a header": (pouring(b"HTTP/1.1 200 OK\r\nx: ", b"y", 0.05), WAITING),
    "drips headers": (pouring(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", 0.05), WAITING),
    "drips interim answers": (pouring(b"", _head("HTTP/1.1 100 Continue"), 0.05), WAITING),
    "pours interim answers": (pouring(b"", _head("HTTP/1.1 100 Continue") * 2000), TOO_LARGE),
    "pours large interim answers": (pouring(b"", _head("HTTP/1.1 103 E", "link: " + "x" * 7000) * 9), TOO_LARGE),
    "a thousand interim answers and one": (
        answering(_head("HTTP/1.1 100 Continue") * 1000 + _head("HTTP/1.1 200 OK", "content-length: 0")),
        TOO_LARGE,
    ),
    "pours answers": (pouring(b"", _head("HTTP/1.1 200 OK", "content-length: 0") * 2000), TAKEN),
    "headers without end": (pouring(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 8000), NO_HTTP),
    "a header without end": (pouring(b"HTTP/1.1 200 OK\r\nx: ", bytes(b"y" * 65_536)), NO_HTTP),
    "a reason without end": (pouring(b"HTTP/1.1 200 ", b"y" * 65_536), NO_HTTP),
    "a body without end": (pouring(_head("HTTP/1.1 200 OK"), b"y" * 65_536), TAKEN),
    "a refusal without end": (pouring(_head("HTTP/1.1 500 No"), b"y" * 65_536), (500, "not a 2xx answer")),
    "drips a body": (pouring(_head("HTTP/1.1 200 OK", "content-length: 9999"), b"y", 0.05), TAKEN),
    "a chunk extension without end": (pouring(CHUNKED + b"1;", b"y" * 65_536), TAKEN),
    "drips a chunk extension": (pouring(CHUNKED + b"1;", b"y", 0.05), TAKEN),
    "chunks of a byte": (pouring(CHUNKED, b"1\r\nx\r\n" * 10_000), TAKEN),
    "a chunk of every size": (pouring(CHUNKED + b"F" * 16, b"F" * 4096), TAKEN),
    "trailers without end": (pouring(CHUNKED + b"0\r\n", b"x: y\r\n" * 8000), TAKEN),
    "a bomb": (
        answering(_head("HTTP/1.1 200 OK", "content-encoding: gzip", f"content-length: {len(BOMB)}") + BOMB),
        TAKEN,
    ),
    "less than it says": (closing(_head("HTTP/1.1 200 OK", "content-length: 10") + b"short"), TAKEN),
    "more than it says": (answering(_head("HTTP/1.1 200 OK", "content-length: 2") + b"ok and more"), TAKEN),
    "a negative length": (answering(_head("HTTP/1.1 200 OK", "content-length: -1")), NO_HTTP),
    "a length past counting": (answering(_head("HTTP/1.1 200 OK", "content-length: " + "9" * 40)), NO_HTTP),
    "HTTP/0.9": (closing(b"<html>taken</html>"), NO_HTTP),
    "HTTP/2": (closing(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"), NO_HTTP),
    "TLS": (closing(b"\x15\x03\x01\x00\x02\x02\x28"), NO_HTTP),
    "an upgrade": (
        pouring(_head("HTTP/1.1 101 Up", "upgrade: x", "connection: upgrade"), b"y" * 65_536),
        (101, "not a 2xx answer"),
    ),
    "a status of four digits": (answering(_head("HTTP/1.1 2000 OK", "content-length: 0")), NO_HTTP),
    "a status of none": (answering(_head("HTTP/1.1 000 OK", "content-length: 0")), (0, "not a 2xx answer")),
    "nothing and an end": (closing(b""), UNANSWERED),
    "half a head and an end": (closing(b"HTTP/1.1 200 OK\r\nx: y"), UNANSWERED),
}  # fmt: skip


BROKEN_BODIES = frozenset({"a chunk of every size", "trailers without end", "more than it says"})
"""Read in one piece with the head, what is no HTTP spoils the receipt; read after it, it does not."""


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_answer_ends_in_time_with_its_status_or_our_own_words(
    name: str, make_sender: MakeSender, destination: Destination
) -> None:
    destination.script, (status, error) = HOSTILE[name]
    began = monotonic()
    sender = make_sender(timeout_s=0.3 if error == WAITING[1] else 5)
    attempt = await sender.send(destination.url(), LOOPBACK_LISTED, {}, b"{}")
    wanted = {(status, error), NO_HTTP} if name in BROKEN_BODIES else {(status, error)}
    assert (attempt.status, attempt.error) in wanted
    assert monotonic() - began < 3
    assert (attempt.verdict is Verdict.DELIVERED) is (attempt.status == 200)


@pytest.mark.parametrize("status", (200, 201, 301, 302, 303, 307, 308, 401, 407, 503))
async def test_no_header_of_an_answer_leads_anywhere(
    status: int, make_sender: MakeSender, destination: Destination
) -> None:
    async with listening(Destination()) as elsewhere:
        to = elsewhere.url("/latest/meta-data/")
        lines = (
            f"HTTP/1.1 {status} Look there", f"location: {to}", f"refresh: 0; url={to}", f"content-location: {to}",
            f'alt-svc: h2="127.0.0.1:{elsewhere.port}"; ma=86400', f"link: <{to}>; rel=preconnect",
            "www-authenticate: Basic realm=x", f"proxy-authenticate: Basic realm={to}", "content-length: 0",
            "strict-transport-security: max-age=86400", "retry-after: 0",
        )  # fmt: skip
        destination.script = answering(_head(*lines))
        sender = make_sender(timeout_s=2)
        for _ in range(2):
            assert (await sender.send(destination.url(), LOOPBACK_LISTED, {}, b"{}")).status == status
        assert (elsewhere.connections, len(destination.requests)) == (0, 2)
        assert b"authorization" not in destination.requests[1][0].lower()


async def test_what_comes_on_a_kept_connection_unasked_is_no_answer_to_the_next_request(
    make_sender: MakeSender, destination: Destination
) -> None:
    poured = asyncio.Event()

    async def answer_and_go_on(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_head("HTTP/1.1 500 No", "content-length: 0"))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(_head("HTTP/1.1 200 OK", "content-length: 0"))
        poured.set()

    destination.script = answer_and_go_on
    sender = make_sender()
    assert (await sender.send(destination.url(), LOOPBACK_LISTED, {}, b"{}")).status == 500
    await poured.wait()
    await asyncio.sleep(0.05)
    assert (await sender.send(destination.url(), LOOPBACK_LISTED, {}, b"{}")).status == 500
    assert destination.connections == 2


async def test_an_answer_may_have_a_body_up_to_the_bound_and_the_next_one_the_same(
    make_sender: MakeSender, destination: Destination
) -> None:
    size = LARGEST_ANSWER - 200
    destination.script = answering(_head("HTTP/1.1 200 OK", f"content-length: {size}") + b"y" * size)
    sender = make_sender()
    for _ in range(3):
        assert (await sender.send(destination.url(), LOOPBACK_LISTED, {}, b"{}")).status == 200
    assert destination.connections == 1


@pytest.fixture
def redis_url() -> Iterator[str]:
    with valkey_server() as server:
        yield server.url


async def test_fifty_hostile_destinations_at_once_cost_a_worker_little_memory(
    redis_url: str, tmp_path: Path
) -> None:
    worst = (
        "pours interim answers",
        "pours large interim answers",
        "pours answers",
        "chunks of a byte",
        "says nothing",
    )
    async with AsyncExitStack() as stack:
        post = await stack.enter_async_context(
            office(redis_url, tmp_path, 'timeout = "1s"\nretry_schedule = []')
        )
        await post.start_worker()
        warm = await stack.enter_async_context(listening(Destination()))
        message_id, _ = await post.event_for(warm)
        await post.until_delivery(message_id, state=CallbackState.DELIVERED)
        before_kb, began, sent = post.resident_kb(), monotonic(), []
        for number in range(50):
            script, (status, error) = HOSTILE[worst[number % len(worst)]]
            one = await stack.enter_async_context(listening(Destination(script=script)))
            message_id, _ = await post.event_for(one)
            sent.append((message_id, status, error))
        for message_id, status, error in sent:
            state = CallbackState.DELIVERED if status == 200 else CallbackState.DEAD
            await post.until_delivery(message_id, state=state, last_status=status, last_error=error)
        took_s, grown_kb = monotonic() - began, peak_kb(post.workers[0].pid) - before_kb
        print(f"50 hostile answers: {took_s:.1f} s, {grown_kb} KiB more at the peak")
        assert took_s < 10
        assert grown_kb < 30_000


def peak_kb(pid: int) -> int:
    """The most memory that the process has had; 0 where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
