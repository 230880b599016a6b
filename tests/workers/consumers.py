"""Workers that do nothing but deliver, and consumers that answer byte for byte what a test says, with the time of each
request. An event is made without a call: its message is accepted while the campaign is paused, and cancelled."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httpx
from standardwebhooks import Webhook

from app.config import parse_config
from app.message import Callback, EventId, MessageId
from app.origin import parse_callback_url
from app.secret import Secret
from app.store.messages import Accepted, Draft, new_message_id
from app.store.opening import open_database
from app.store.records import Body
from tests.callbacks.destination import Destination, listening
from tests.workers.rig import PATIENCE_S, SIGNING_SECRET, Receiver, Rig, relay_toml

SCHEDULE_S = (0.25, 0.5, 1.0)
TIMEOUT_S = 1.0
CALLBACKS = 'retry_schedule = ["250ms", "500ms", "1s"]\ntimeout = "1s"'
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def refusing(status: int, *headers: str) -> bytes:
    """An answer of that status."""
    lines = [f"HTTP/1.1 {status} No", *headers, "content-length: 0", "", ""]
    return "\r\n".join(lines).encode()


@dataclass
class Consumer(Destination):
    """Gives each request the next answer; the last one stays."""

    answers: list[bytes] = field(default_factory=lambda: [OK])
    times: list[float] = field(default_factory=list)
    """When each request came, by the monotonic clock."""
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.script = self.answer_next

    async def answer_next(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.note()
        writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
        await writer.drain()

    def note(self) -> None:
        """A request came."""
        self.times.append(time.monotonic())
        self.came.set()

    async def wait_for(self, count: int, patience_s: float = PATIENCE_S) -> None:
        """Until so many requests came."""
        async with asyncio.timeout(patience_s):
            while len(self.times) < count:
                self.came.clear()
                await self.came.wait()

    def headers(self, index: int) -> dict[str, str]:
        """Of that request, names in lower case."""
        lines = self.requests[index][0].decode().rstrip().split("\r\n")[1:]
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    def ids(self) -> list[str]:
        return [self.headers(index)["webhook-id"] for index in range(len(self.requests))]

    def check_signatures(self) -> None:
        """Each request verifies by the public library."""
        for index in range(len(self.requests)):
            Webhook(SIGNING_SECRET).verify(self.requests[index][1], self.headers(index))


class Office(Rig):
    """A rig whose campaign is paused: messages are accepted and cancelled, and workers deliver what that makes."""

    _numbers = itertools.count()

    async def event_for(
        self,
        consumer: Destination,
        *,
        path: str = "/outcomes",
        scheme: str = "http",
        host: str = "127.0.0.1",
        client: str = "checkout",
    ) -> tuple[MessageId, EventId]:
        """A final event on its way to that consumer."""
        url = consumer.url(path, host=host, scheme=scheme)
        settings, to = self.config.campaigns["login-otp"], self.config.clients[client]
        draft = Draft(
            client=to,
            campaign=settings,
            body=Body(f"+8490{next(self._numbers):07d}", None, {}, url, {}),
            otp_code=Secret.of("004217"),
            ttl_ms=None,
            expires_at_ms=None,
            destination=str(parse_callback_url(url).origin),
            traceparent=None,
            idempotency_key=None,
            canonical_body=b"",
        )
        accepted = await self.messages.accept(draft, new_message_id())
        assert isinstance(accepted, Accepted), accepted
        message_id = accepted.message.id
        assert await self.messages.cancel(message_id, client) == "cancelled"
        return message_id, EventId(f"evt_{message_id.removeprefix('msg_')}r2")

    async def delivery(self, message_id: MessageId) -> Callback:
        """The delivery of the message's one event."""
        (callback,) = (await self.show(message_id)).callbacks
        return callback

    async def until_delivery(self, message_id: MessageId, **wanted: object) -> Callback:
        """The delivery, once its fields are as wanted."""
        give_up = time.monotonic() + PATIENCE_S
        while True:
            callback = await self.delivery(message_id)
            if all(getattr(callback, name) == value for name, value in wanted.items()):
                return callback
            assert time.monotonic() < give_up, callback
            await asyncio.sleep(0.03)

    def resident_kb(self) -> int:
        """Memory of the first worker; 0 where the system does not tell."""
        statm = Path(f"/proc/{self.workers[0].pid}/statm")
        pages = int(statm.read_text().split()[1]) if statm.exists() else 0
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024


@asynccontextmanager
async def office(redis_url: str, folder: Path, callbacks: str = CALLBACKS) -> AsyncIterator[Office]:
    """An office over an emptied Redis, as yet without a worker."""
    text = relay_toml(redis_url, "http://127.0.0.1:9", "http://127.0.0.1:9", {"callbacks": callbacks})
    text = text.replace(
        'callback_allow = ["http://127', 'callback_allow = ["https://127.0.0.1:*", "http://127'
    )
    file = folder / "relay.toml"
    file.write_text(text)
    config = parse_config(text, file="relay.toml", env={})
    async with AsyncExitStack() as stack:
        emptied = await open_database(config, wait_s=5)
        await emptied.read("FLUSHALL")
        await emptied.close()
        database = await open_database(config, wait_s=5)
        stack.push_async_callback(database.close)
        await database.read("HSET", database.key("pause", "login-otp"), "at", 1)
        sandbox = await stack.enter_async_context(httpx.AsyncClient())
        rig = Office(config, database, sandbox, Receiver(), file)
        stack.push_async_callback(rig.stop)
        yield rig


@asynccontextmanager
async def consuming(*answers: bytes) -> AsyncIterator[Consumer]:
    """A consumer that gives these answers in turn; without any, it takes everything."""
    async with listening(Consumer(answers=list(answers) or [OK])) as consumer:
        yield cast("Consumer", consumer)
