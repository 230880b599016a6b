"""How the API's port treats whoever connects: bounds and deadlines around uvicorn's HTTP/1.1 protocol.

Owns what a connection may take of the process before a route sees a request: the size of a head, the seconds for a
head, a body and an answer, and how many connections are kept. Never looks into a body, and knows no route.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.problems import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    HEAD_TOO_LARGE,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    REQUEST_TOO_SLOW,
    Problem,
)

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
    from uvicorn.server import ServerState

HEAD_S, BODY_S, ANSWER_S = 10.0, 30.0, 30.0
"""From the first byte of a head to its end; from there to the end of the body; for an answer to be taken."""
IDLE_S = 75
"""A connection may rest so long before its first request, and between two."""
HEAD_MOST_BYTES, HEADERS_MOST = 32 * 1024, 100
_BODY_MOST_WIRE_BYTES = 16 * 1024 * 1024
"""Of a body with all that chunks and trailers add to it. What a route takes is far less, and the route's to bound."""
CONNECTIONS_MOST = 20_000
"""Past it, each new connection closes the one that has been without a request for longest."""
_FILES_KEPT = 256
"""Of the open files that the process may have, those that are not for callers: Redis, logs, the library's own."""
_HIDDEN_SLASH = re.compile(rb"[^?]*%(2f|5c)", re.IGNORECASE)
"""A slash that a proxy may not see: no path here has one in its words."""


class _Dropped(list[tuple[bytes, bytes]]):
    """Takes in nothing."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        pass


_NO_TRAILERS = _Dropped()
"""Where the library would add trailers to the headers that a route reads."""


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
        self._reads: Literal["nothing", "head", "body"] = "nothing"
        self._clock: asyncio.TimerHandle | None = None
        self._answer_clock: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        """What is being answered; the library's own `cycle` is what was read last."""
        self._unread = 0
        self._fed = self._again = b""
        self._refusal = Problem(BAD_REQUEST)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._rest()
        if len(self.connections) > self.connections_most and self._waiting:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest._cut_off()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._leave_unanswered()
        self.pipeline.clear()
        self._waiting.pop(self, None)
        self._unset_keepalive_if_required()
        self._stop_clock()
        if self._answer_clock is not None:
            self._answer_clock.cancel()

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        while data:
            self._fed, self._again = data, b""
            super().data_received(data)
            data = self._again
        self._fed = b""  # a connection at rest keeps nothing of what came
        if self.transport.is_closing():
            return
        if self._reads == "nothing":
            if self.timeout_keep_alive_task is None and not self._under_way():
                self._rest()  # empty lines, which begin no request
        elif self._unread > (HEAD_MOST_BYTES if self._reads == "head" else _BODY_MOST_WIRE_BYTES):
            self._refuse(Problem(HEAD_TOO_LARGE if self._reads == "head" else BODY_TOO_LARGE))
        elif self._clock is None:
            self._clock = self.loop.call_later(HEAD_S if self._reads == "head" else BODY_S, self._too_slow)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reads = "head"

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._break_off(Problem(METHOD_NOT_ALLOWED))
            return  # and comes again without it
        self._stop_clock()
        self._check_head()
        self._waiting.pop(self, None)
        self._reads, self._unread = "body", 0
        super().on_headers_complete()
        self.headers = _NO_TRAILERS

    def on_message_complete(self) -> None:
        if self._reads == "head":  # that of an upgrade
            return
        super().on_message_complete()
        self._stop_clock()
        self._reads, self._unread = "nothing", 0

    def _check_head(self) -> None:
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) != 1 and (hosts or self.parser.get_http_version() != "1.0"):
            self._break_off(Problem(BAD_REQUEST, "Expected one Host header."))
        if b"%" in self.url and _HIDDEN_SLASH.match(self.url):
            self._break_off(Problem(NOT_FOUND))
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
            self._cut_off()
        super().timeout_keep_alive_handler()

    def _unsupported_upgrade_warning(self) -> None:
        """No upgrade is offered, so it is ignored, as HTTP allows; the parser would lose the body after it."""
        upgrade = sys.exception()
        offset: int = upgrade.args[0] if isinstance(upgrade, HttpParserUpgrade) else len(self._fed)
        kept = [line for line in self.headers if line[0] != b"upgrade"]
        lines = [
            self.parser.get_method() + b" " + self.url + b" HTTP/1.1",
            *(b": ".join(line) for line in kept),
        ]
        self._again = b"\r\n".join([*lines, b"", self._fed[offset:]])
        self.parser = HttpRequestParser(self)

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal)

    def _under_way(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

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
            self._answer_clock = self.loop.call_later(ANSWER_S, self._cut_off)

    def _too_slow(self) -> None:
        self._clock = None
        self._refuse(Problem(REQUEST_TOO_SLOW))

    def _break_off(self, problem: Problem) -> NoReturn:
        """Out of one of the parser's callbacks, which ends the parsing."""
        self._refusal = problem
        raise problem

    def _refuse(self, problem: Problem) -> None:
        """Ends the connection with this answer; or, where requests arrived whole before, with the answer to these."""
        if self.transport.is_closing():
            return
        unanswered = [cycle for cycle, _ in self.pipeline] + [
            one for one in (self._running,) if one is not None
        ]
        whole = [one for one in unanswered if not one.more_body and not one.response_complete]
        if whole:
            whole[0].keep_alive = False  # the newest
            self.flow.pause_reading()
            return
        self._leave_unanswered()
        self.transport.write(self._written(problem))
        self.transport.close()
        self._watch_answer()

    def _cut_off(self) -> None:
        self._leave_unanswered()
        self.transport.abort()

    def _leave_unanswered(self) -> None:
        """A route that still answers writes to nobody, and one that reads learns that its caller is gone."""
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

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
