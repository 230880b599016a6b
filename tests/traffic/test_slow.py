"""Callers that send or take one byte at a time, or none: each is cut off by its deadline, and nobody waits for them."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.traffic.api_process import AUTHORIZATION, MESSAGE, SHORT_S, ApiProcess
from tests.traffic.wire import answers_of, chunked, exchange, head, post

CUT_OFF_WITHIN_S = 2 * SHORT_S + 3.0
LARGE = "/docs/swagger-ui-bundle.js"
_HEADERS = ("Content-Type: application/json", AUTHORIZATION)


def _then(begun: bytes, drops: Iterable[bytes]) -> Iterator[bytes]:
    return itertools.chain([begun], drops)


def _one_by_one(text: bytes) -> Iterator[bytes]:
    return (text[index : index + 1] for index in itertools.count() if index < len(text))


SLOW: dict[str, Callable[[], Iterator[bytes]]] = {
    "half a method, then nothing": lambda: iter([b"PO"]),
    "path": lambda: _then(b"GET /", itertools.repeat(b"a")),
    "headers": lambda: _then(b"GET /livez HTTP/1.1\r\nHost: relay\r\n", itertools.repeat(b"A: b\r\n")),
    "a header": lambda: _then(b"GET /livez HTTP/1.1\r\nHost: relay\r\nA: ", itertools.repeat(b"a")),
    "a good head, byte by byte": lambda: _one_by_one(head("GET", "/livez", "A: " + "a" * 500)),
    "body": lambda: _then(head("POST", "/v1/messages", *_HEADERS, "Content-Length: 60000"), itertools.repeat(b" ")),
    "body of nobody": lambda: _then(head("POST", "/v1/messages", "Content-Length: 60000", closing=False),
                                    itertools.repeat(b" ")),
    "body without end": lambda: _then(head("POST", "/v1/messages", *_HEADERS, "Transfer-Encoding: chunked"),
                                      itertools.repeat(b"1\r\n \r\n")),
    "trailers": lambda: _then(head("POST", "/v1/messages", *_HEADERS, "Transfer-Encoding: chunked")
                              + chunked(MESSAGE)[:-2], itertools.repeat(b"A: b\r\n")),
    "second request": lambda: _then(head("GET", "/livez", closing=False) + b"GET /", itertools.repeat(b"a")),
    "nothing at all": lambda: iter([b""]),
    "an empty line, then nothing": lambda: iter([b"\r\n"]),
    "a whole request, then nothing": lambda: iter([head("GET", "/livez", closing=False)]),
}  # fmt: skip


def _lasts(port: int, drops: Iterator[bytes]) -> tuple[float, set[int]]:
    """Sends a drop every 20 ms until the server ends it; after how many seconds that was, and what it answered."""
    began, received = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(0.02)
        ended = False
        while not ended and time.monotonic() - began < CUT_OFF_WITHIN_S:
            try:
                connection.sendall(next(drops, b""))
                piece = connection.recv(65536)
                received, ended = received + piece, not piece
            except TimeoutError:
                pass
            except OSError:
                ended = True
    return time.monotonic() - began, {answer.status for answer in answers_of(received)}


@pytest.fixture(scope="module")
def lasted(relay: ApiProcess) -> dict[str, tuple[float, set[int]]]:
    """All slow senders side by side."""
    with ThreadPoolExecutor(len(SLOW)) as pool:
        running = {name: pool.submit(_lasts, relay.port, drops()) for name, drops in SLOW.items()}
        return {name: one.result() for name, one in running.items()}


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_sender_is_cut_off_by_its_deadline(
    lasted: dict[str, tuple[float, set[int]]], name: str
) -> None:
    lasted_s, statuses = lasted[name]
    assert SHORT_S * 0.9 <= lasted_s < CUT_OFF_WITHIN_S
    assert statuses <= {200, 401, 408}


def test_slow_senders_delay_no_one(relay: ApiProcess) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", relay.port)))
            slow.sendall(head("POST", "/v1/messages", *_HEADERS, "Content-Length: 60000") + b"{")
        began = time.monotonic()
        [answer] = exchange(relay.port, post(MESSAGE, AUTHORIZATION))
        assert answer.status == 202
        assert time.monotonic() - began < SHORT_S


@pytest.mark.parametrize("request_of_it", (
    head("GET", LARGE, closing=False) * 20,
    head("GET", LARGE, closing=False) * 3 + head("GET", LARGE), head("GET", "/openapi.json", closing=False) * 500,
), ids=("twenty", "the last one closing", "many small"))  # fmt: skip
def test_a_caller_that_takes_no_answer_holds_nothing_for_long(
    relay: ApiProcess, request_of_it: bytes
) -> None:
    before = relay.open_files()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", relay.port))
        connection.sendall(request_of_it)
        began = time.monotonic()
        time.sleep(SHORT_S / 2)
        assert relay.open_files() > before
        while relay.open_files() > before:
            assert time.monotonic() - began < CUT_OFF_WITHIN_S, "the connection is still held"
            time.sleep(0.02)


def test_a_caller_that_leaves_in_the_middle_of_its_answers_is_no_fault_of_ours(relay: ApiProcess) -> None:
    """The log of the process is looked at after each test."""
    with socket.socket() as connection:
        connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )  # it resets at its end
        connection.connect(("127.0.0.1", relay.port))
        connection.sendall(head("GET", LARGE, closing=False) * 20)
        connection.recv(65536)
        time.sleep(SHORT_S / 4)


def test_a_caller_that_takes_its_answer_in_time_gets_all_of_it(relay: ApiProcess) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(5)
        connection.connect(("127.0.0.1", relay.port))
        connection.sendall(head("GET", LARGE))
        time.sleep(SHORT_S / 2)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    [answer] = answers_of(received)
    assert len(answer.body) == int(answer.headers["content-length"]) > 1_000_000


def test_one_who_waits_for_a_final_state_is_not_cut_off(relay: ApiProcess) -> None:
    [sent] = exchange(relay.port, post(MESSAGE, AUTHORIZATION))
    [shown] = exchange(relay.port, head("GET", f"{sent.headers['location']}?wait=1", AUTHORIZATION))
    assert shown.status == 200
    assert shown.document()["state"] == "queued"
