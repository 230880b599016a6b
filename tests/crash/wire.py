"""What the bytes of a connection say: the names of effects and of their answers, in RESP and in HTTP."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import Any, Protocol

import hiredis

from app.store.database import PREFIX
from app.store.lua import script, script_names

_TELLING = {"settle": (1, 3), "settle_event": (2,), "reconcile": (1,)}
"""The arguments of a script that make another effect of it."""
_SCRIPT_VERBS = (b"EVAL", b"EVALSHA")
_WORD = re.compile(rb"[a-z][a-z_ ]*")
_REQUEST = re.compile(rb"(GET|POST) ([^ ?]*)[^ ]* HTTP/1")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CODE = re.compile(rb'"code": ?"?(\d+)')
_ROWS = re.compile(rb'"state": ?\d')
_IDS = re.compile(r"batch_\w+|evt_\w+|msg_\w+|[0-9a-f]{16,}|\d+")


class Conversation(Protocol):
    """One connection's requests and answers, in order."""

    def asks(self, data: bytes) -> Iterator[str]:
        """The requests that begin in what is about to be written."""

    def answers(self, data: bytes) -> Iterator[tuple[str, str]]:
        """The requests that are wholly answered by what came, each with the answer in a word."""

    def unanswered(self) -> Iterator[str]:
        """The requests that the end of the connection left without an answer."""


def conversation_of(first: bytes) -> Conversation:
    """The language that the connection speaks. ValueError: none that is known, so its effects have no names."""
    if first.startswith(b"*"):
        return RedisConversation()
    if _REQUEST.match(first):
        return HttpConversation()
    raise ValueError("a connection that speaks neither RESP nor HTTP: teach tests/crash/wire.py its language")


class RedisConversation:
    """Commands and replies of one connection to Redis. What is written at once is one effect, but each script its own.

    Scripts of tasks that run side by side travel together as it happens: a point must not depend on which did.
    """

    def __init__(self) -> None:
        self._out, self._in = hiredis.Reader(), hiredis.Reader()
        self._asked: deque[tuple[str, int]] = deque()
        self._replies: list[Any] = []

    def asks(self, data: bytes) -> Iterator[str]:
        self._out.feed(data)
        commands = list(_read(self._out))
        names = list(map(command_name, commands))
        if all(command[0].upper() in _SCRIPT_VERBS for command in commands):
            asked = [(f"redis {name}", 1) for name in names]
        else:
            asked = [(f"redis {'+'.join(dict.fromkeys(names))}", len(commands))]
        self._asked.extend(asked)
        yield from (name for name, _ in asked)

    def answers(self, data: bytes) -> Iterator[tuple[str, str]]:
        self._in.feed(data)
        for reply in _read(self._in):
            self._replies.append(reply)
            name, count = self._asked[0]
            if len(self._replies) == count:
                self._asked.popleft()
                first, self._replies = self._replies[0], []
                yield name, reply_word(first)

    def unanswered(self) -> Iterator[str]:
        while self._asked:
            yield self._asked.popleft()[0]


class HttpConversation:
    """Requests and answers of one connection, one after the other."""

    def __init__(self) -> None:
        self._asked: str | None = None
        self._answer = b""

    def asks(self, data: bytes) -> Iterator[str]:
        request = _REQUEST.match(data)
        if request is not None:
            self._asked, self._answer = f"http {request[1].decode()} {request[2].decode()}", b""
            yield self._asked

    def answers(self, data: bytes) -> Iterator[tuple[str, str]]:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if self._asked is None or not end or (length is not None and len(body) < int(length[1])):
            return
        code = _CODE.search(body)
        said = f" code {code[1].decode()}" if code else ""
        if self._asked.startswith("http GET") and _ROWS.search(body):
            said += " with rows"
        asked, self._asked = self._asked, None
        yield asked, head[9:12].decode() + said

    def unanswered(self) -> Iterator[str]:
        if self._asked is not None:
            yield self._asked
            self._asked = None


def command_name(command: list[bytes]) -> str:
    """A command in words: a script by its name, anything else with the kind of its first key."""
    verb = command[0].decode().upper()
    if verb in ("EVAL", "EVALSHA"):
        name = _by_text().get(command[1], "?")
        arguments = command[4:]
        return " ".join([name, *(arguments[i].decode() for i in _TELLING.get(name, ()) if arguments[i])])
    key = command[1].decode(errors="replace") if len(command) > 1 else ""
    if not key.startswith(PREFIX):
        return f"{verb} {_IDS.sub('…', key.partition(':')[0])}".strip()
    return f"{verb} {key.removeprefix(PREFIX).partition(':')[0]}"


def reply_word(reply: object) -> str:
    """A reply in one word: what a script says first, or whether there was anything."""
    if isinstance(reply, hiredis.ReplyError):
        return "error " + str(reply).partition(" ")[0]
    if isinstance(reply, list):
        if not reply:
            return "none"
        if isinstance(reply[0], bytes) and _WORD.fullmatch(reply[0]):
            return reply[0].decode()
        return "nothing" if reply[0] == 0 or reply == [-1] else "some"
    if isinstance(reply, bytes):
        return reply.decode() if _WORD.fullmatch(reply) else "some"
    return "nothing" if reply in (None, 0) else "some"


def _read(reader: hiredis.Reader) -> Iterator[Any]:
    while (one := reader.gets()) is not False:
        yield one


@cache
def _by_text() -> dict[bytes, str]:
    scripts = [script(name) for name in script_names()]
    return {one.digest.encode(): one.name for one in scripts} | {
        one.text.encode(): one.name for one in scripts
    }
