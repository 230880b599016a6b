"""How the API's port treats whoever connects: bounds and deadlines around uvicorn's HTTP/1.1 protocol.

Owns what a connection may take of the process before a route sees a request: the size of a head, the seconds for a
head, a body and an answer, and how many connections are kept. Never looks into a body, and knows no route.
"""

from __future__ import annotations

import asyncio
import resource
from typing import TYPE_CHECKING, Any, NoReturn

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.problems import BAD_REQUEST, HEAD_TOO_LARGE, MEDIA_TYPE, REQUEST_TOO_SLOW, Problem

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
    from uvicorn.server import ServerState

HEAD_S, BODY_S, ANSWER_S = 10.0, 30.0, 30.0
"""From the first byte of a head to its end; from there to the end of the body; for an answer to be taken."""
IDLE_S = 75
"""A connection may rest so long before its first request, and between two."""
HEAD_MOST_BYTES, HEADERS_MOST = 32 * 1024, 100
CONNECTIONS_MOST = 20_000
"""Past it, each new connection closes the one that has been without a request for longest."""
_FILES_KEPT = 256
"""Of the open files that the process may have, those that are not for callers: Redis, logs, the library's own."""


def open_files_allowed() -> int:
    """Raises the limit of open files to all that the process may have, and gives it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A request that arrives whole, as good callers' do, sets no timer."""

    connections_most = CONNECTIONS_MOST
    _waiting: dict[BoundedProtocol, None] = {}  # noqa: RUF012

    @classmethod
    def bounded_by(cls, open_files: int) -> type[BoundedProtocol]:
        """The protocol of one server, with as many connections as so many open files allow."""
        most = max(1, min(CONNECTIONS_MOST, open_files - _FILES_KEPT))
        return type("BoundedProtocol", (cls,), {"connections_most": most, "_waiting": {}})

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._reading_s = 0.0
        """How long what is being read may take; 0: nothing is."""
        self._clock: asyncio.TimerHandle | None = None
        self._answer_clock: asyncio.TimerHandle | None = None
        self._unread = 0
        self._refusal = Problem(BAD_REQUEST)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._rest()
        if len(self.connections) > self.connections_most and self._waiting:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._waiting.pop(self, None)
        self._unset_keepalive_if_required()
        self._stop_clock()
        if self._answer_clock is not None:
            self._answer_clock.cancel()

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._reading_s == HEAD_S and self._unread > HEAD_MOST_BYTES:
            self._refuse(Problem(HEAD_TOO_LARGE))
        elif self._reading_s and self._clock is None:
            self._clock = self.loop.call_later(self._reading_s, self._too_slow)
        elif not self._reading_s and self.timeout_keep_alive_task is None and not self._under_way():
            self._rest()  # empty lines, which begin no request

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reading_s = HEAD_S

    def on_headers_complete(self) -> None:
        self._stop_clock()
        self._check_head()
        self._waiting.pop(self, None)
        self._reading_s, self._unread = BODY_S, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._stop_clock()
        self._reading_s, self._unread = 0.0, 0

    def _check_head(self) -> None:
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) != 1 and not (len(hosts) == 0 and self.parser.get_http_version() == "1.0"):
            self._break_off(Problem(BAD_REQUEST, "Expected one Host header."))
        if len(self.headers) > HEADERS_MOST:
            self._break_off(Problem(HEAD_TOO_LARGE))
        if self._unread > HEAD_MOST_BYTES:  # a bound from above: a body may be in it
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > HEAD_MOST_BYTES:
                self._break_off(Problem(HEAD_TOO_LARGE))

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_answer()
        else:
            self._waiting[self] = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_answer()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._answer_clock is not None and not self.transport.is_closing():
            self._answer_clock.cancel()
            self._answer_clock = None

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal)

    def _under_way(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None until the first head was read
        return cycle is not None and not cycle.response_complete

    def _rest(self) -> None:
        self._waiting.setdefault(self)
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _watch_answer(self) -> None:
        if self._answer_clock is None and self.transport.get_write_buffer_size():
            self._answer_clock = self.loop.call_later(ANSWER_S, self.transport.abort)

    def _too_slow(self) -> None:
        self._clock = None
        self._refuse(Problem(REQUEST_TOO_SLOW))

    def _break_off(self, problem: Problem) -> NoReturn:
        """Out of one of the parser's callbacks, which ends the parsing."""
        self._refusal = problem
        raise problem

    def _refuse(self, problem: Problem) -> None:
        """The last answer of a connection. A request that arrived whole before the fault gets its own, and is it."""
        if self.transport.is_closing():
            return
        if self._under_way():
            if not self.cycle.more_body:
                self.cycle.keep_alive = False
                self.flow.pause_reading()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(self._written(problem))
        self.transport.close()
        self._watch_answer()

    def _written(self, problem: Problem) -> bytes:
        body = problem.encoded()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"connection", b"close"),
        ]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return STATUS_LINE[problem.kind.status] + head + b"\r\n" + body
