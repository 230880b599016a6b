"""Raw bytes to a port and what comes back, until the server closes: nothing here knows HTTP better than it must."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

ENDS_WITHIN_S = 10.0
"""A connection that the server has not ended by then hangs."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it stood on the wire; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def head(method: str, path: str, *headers: str, closing: bool = True) -> bytes:
    """A head of HTTP/1.1; each header as it is written. It asks for the connection to be closed unless told not to."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: relay",
        *headers,
        *(["Connection: close"] if closing else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def post(body: bytes, *headers: str, path: str = "/v1/messages", closing: bool = True) -> bytes:
    """A POST of JSON with its true length."""
    mine = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    return head("POST", path, *mine, *headers, closing=closing) + body


def chunked(*pieces: bytes) -> bytes:
    """The pieces as a body without a length."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def exchange(port: int, sent: bytes) -> list[Answer]:
    """All answers until the server ended the connection. It may do so before all was sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=ENDS_WITHIN_S) as connection:
        writing = threading.Thread(target=_send, args=(connection, sent))
        writing.start()
        received = _until_end(connection)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        writing.join()
    return answers_of(received)


def _send(connection: socket.socket, sent: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(sent)


def _until_end(connection: socket.socket) -> bytes:
    """Within a deadline for all of it: a server that drips hangs too."""
    received, give_up = b"", time.monotonic() + ENDS_WITHIN_S
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(1 << 20):
            received += piece
            assert time.monotonic() < give_up, "the server does not end the connection"
    return received


def answers_of(received: bytes) -> list[Answer]:
    """What was received, taken apart by the lengths that the answers tell."""
    answers = []
    while received:
        lines, _, received = received.partition(b"\r\n\r\n")
        first, *rest = lines.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        status = int(first.split()[1])
        length = int(headers.get("content-length", "0"))
        answers.append(Answer(status, headers, received[:length]))
        received = received[length:]
    return [answer for answer in answers if answer.status >= 200]
