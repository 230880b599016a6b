"""How much of an answer is read at all.

Owns the bound on the bytes that a destination may send in return for one request: interim answers, head, body, chunk
extensions, trailers, and what it pours into a connection that nobody asked anything of. aiohttp bounds a line and the
number of headers, but takes interim answers and unasked ones without end, as fast as they come.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

LARGEST_ANSWER: Final = 32 * 1024
"""Bytes for each request, all told."""
_MOST_UNREAD: Final = 64
"""Answers, interim ones included, and pieces of a body, that may have come before the first is looked at."""
_SLICE: Final = 2048


class AnswerTooLarge(aiohttp.ClientError):
    """More came than one answer may have."""


class BoundedHandler(ResponseHandler):
    """Reads one answer of up to `LARGEST_ANSWER` for each request; at more, the connection is cut off."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._left = LARGEST_ANSWER
        self._answers = 0
        self._cut = False

    def set_response_params(self, **params: object) -> None:
        """A request begins."""
        self._left = LARGEST_ANSWER
        self._answers = 0
        super().set_response_params(**params)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """What is within the bound is read as ever."""
        within, self._left = data[: self._left], max(0, self._left - len(data))
        for begin in range(0, len(within) or 1, _SLICE):
            super().data_received(within[begin : begin + _SLICE])
            if self._unread() > _MOST_UNREAD:
                self._cut_off()
                return
        if len(within) < len(data):
            self._cut_off()

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """A second answer is to nothing that was asked: on a kept connection it would pass for the next one's."""
        super().feed_data(data, size)
        self._answers += data[0].code >= 200
        if self._answers > 1:
            self._cut_off()

    def _unread(self) -> int:
        body = self._payload
        return len(self._buffer) + (0 if body is None or body is EMPTY_PAYLOAD else len(body._buffer))

    def _cut_off(self) -> None:
        self._cut = True
        if self.transport is not None:
            self.transport.abort()
        self.set_exception(AnswerTooLarge())

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """What follows from the cut is told as the cut."""
        super().set_exception(AnswerTooLarge() if self._cut else exc, *cause)


def bound_answers(connector: aiohttp.BaseConnector) -> None:
    """Has every connection of this connector bounded. aiohttp has no parameter for it."""
    loop = asyncio.get_running_loop()
    connector._factory = cast("partial[ResponseHandler]", partial(BoundedHandler, loop=loop))
