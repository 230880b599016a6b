"""What a test of the API holds: callers with keys, builders that show only what matters, and a look into Redis."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
from litestar import Litestar

from app.api.problems import BASE, KINDS, MEDIA_TYPE
from app.config import Config, parse_config
from app.main import create_app
from app.message import Call, CallbackState
from app.sandbox.serve import serving
from app.store.batches import Batch, Batches
from app.store.connection import Client, connect_raw
from app.store.database import Database
from app.store.events import DueEvent, Events
from app.store.opening import open_database
from app.store.outcomes import Outcomes
from tests.canaries.planted import CODE as CODE
from tests.canaries.planted import ENCRYPTION_KEY, PROVIDER_SECRET, SIGNING_SECRET, api_key
from tests.canaries.planted import NUMBER as NUMBER
from tests.canaries.search import Place
from tests.canaries.watch import WATCH

Json = dict[str, Any]

RECEIVER = "http://127.0.0.1:9"
KEYS = {name: api_key(name) for name in ("checkout", "delivery", "notices", "admin")}
KEEP_MS = 100 * 3600 * 1000

UNDER_V1 = (
    ("GET", "/v1/messages?reference=a"), ("GET", "/v1/messages/msg_1"), ("DELETE", "/v1/messages/msg_1"),
    ("POST", "/v1/messages"), ("POST", "/v1/messages/batch"), ("GET", "/v1/campaigns"), ("GET", "/v1/events"),
    ("GET", "/v1/callbacks?state=dead"), ("POST", "/v1/callbacks/evt_1/replay"), ("POST", "/v1/callbacks/replay"),
)  # fmt: skip
"""Each operation that asks for a key, once."""

_TITLES = {kind.slug: kind.title for kind in KINDS}


def _quoted(*words: str) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _campaign(number: int, kind: str) -> dict[str, str]:
    return {"account": '"main"', "campaign_id": f'"{number}"', "kind": f'"{kind}"', "linger": '"5ms"'}


def _client(name: str, *campaigns: str) -> dict[str, str]:
    digest = hashlib.sha256(KEYS[name].encode()).hexdigest()
    return {
        "api_keys": f'["sha256:{digest}"]',
        "campaigns": f"[{_quoted(*campaigns)}]",
        "signing_secrets": f'["{SIGNING_SECRET}"]',
    }


def config_text(redis_url: str, more: Mapping[str, str] | None = None) -> str:
    """Two clients of two campaigns, and `notices`, which may use `order-notice` alone and names no callback URL.

    `more` holds, by the last word of a section's name, one line that is added there or stands in a line's place.
    """
    with_callbacks = {"callback_allow": f"[{_quoted('http://127.0.0.1:*', 'https://checkout.internal')}]"}
    digest = hashlib.sha256(KEYS["admin"].encode()).hexdigest()
    sections: dict[str, dict[str, str]] = {
        "redis": {"url": _quoted(redis_url)},
        "provider.accounts.main": {
            "base_url": _quoted("http://127.0.0.1:9"),
            "secret_key": _quoted(PROVIDER_SECRET),
        },
        "campaigns.login-otp": _campaign(1, "voice_otp"),
        "campaigns.order-notice": _campaign(2, "notification"),
        "clients.notices": _client("notices", "order-notice"),
        "storage": {"encryption_keys": f"[{_quoted(ENCRYPTION_KEY)}]"},
        "admin": {"api_keys": f'["sha256:{digest}"]'},
    }
    for name in ("checkout", "delivery"):
        own = {"callback_url": _quoted(f"{RECEIVER}/{name}"), "rate_limit": '"100000/s"', **with_callbacks}
        sections[f"clients.{name}"] = _client(name, "login-otp", "order-notice") | own
    for name, line in (more or {}).items():
        (section,) = [each for each in sections if each.rpartition(".")[2] == name]
        key, _, value = line.partition(" = ")
        sections[section][key] = value
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
        for name, keys in sections.items()
    )


def config_of(redis_url: str, more: Mapping[str, str] | None = None) -> Config:
    return parse_config(config_text(redis_url, more), file="relay.toml", env={})


@asynccontextmanager
async def open_caller(config: Config) -> AsyncIterator[Caller]:
    """The API of this configuration, whether Redis is there or not."""
    app = create_app(config)
    async with serving(app) as url, httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as http:
        http.event_hooks["response"].append(_look_at)
        yield Caller(http, app)


async def _look_at(answer: httpx.Response) -> None:
    """No answer tells a code; of the pages, some show an example's."""
    path = answer.request.url.path
    if path.startswith(("/v1", "/metrics", "/livez", "/readyz")):
        place = Place.METRICS if path == "/metrics" else Place.ANSWER
        WATCH.look(await answer.aread(), place, f"answer {answer.status_code} of {path.split('?')[0][:12]}")


@asynccontextmanager
async def open_api(redis_url: str, more: Mapping[str, str] | None = None) -> AsyncIterator[Api]:
    """The API of this configuration, on a Redis that holds nothing but the secret of its indexes."""
    config = config_of(redis_url, more)
    redis = connect_raw(redis_url)
    database = await open_database(config, wait_s=5)
    try:
        async with open_caller(config) as caller:
            api = Api(caller, redis, database, config)
            await api.wipe()
            yield api
    finally:
        await database.close()
        await redis.aclose()


def otp(**fields: object) -> Json:
    """The body of a message to `login-otp`; a field that is None is left out."""
    body = {"campaign": "login-otp", "phone_number": "0901 234 567", "otp_code": CODE, **fields}
    return {name: value for name, value in body.items() if value is not None}


class Caller:
    """The API as its clients see it."""

    def __init__(self, http: httpx.AsyncClient, app: Litestar) -> None:
        self.http = http
        self.app = app

    async def ask(
        self,
        method: str,
        path: str,
        *,
        of: str | None = "checkout",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """A request of this client; `of` None: of nobody."""
        key = {} if of is None else {"authorization": f"Bearer {KEYS[of]}"}
        return await self.http.request(method, path, headers={**key, **(headers or {})}, **more)

    async def get(self, path: str, *, of: str = "checkout", **params: str | int) -> httpx.Response:
        return await self.ask("GET", path, of=of, params=params)

    async def post(
        self, body: object, *, path: str = "/v1/messages", of: str = "checkout", key: str | None = None
    ) -> httpx.Response:
        headers = {} if key is None else {"idempotency-key": key}
        return await self.ask("POST", path, of=of, headers=headers, json=body)

    async def sent(self, *, of: str = "checkout", **fields: object) -> Json:
        """A message that was accepted."""
        answer = await self.post(otp(**fields), of=of)
        assert answer.status_code == 202, answer.text
        return cast("Json", answer.json())

    async def cancelled(self, *, of: str = "checkout", **fields: object) -> Json:
        """A message that was cancelled, so that it has an event; with the event's id as `event`."""
        message = await self.sent(of=of, **fields)
        assert (await self.ask("DELETE", f"/v1/messages/{message['id']}", of=of)).status_code == 200
        shown = (await self.get(f"/v1/messages/{message['id']}", of=of)).json()
        return {**shown, "event": shown["callback"]["event_id"]}

    async def until_ready(self) -> None:
        async with asyncio.timeout(10):
            while (await self.ask("GET", "/readyz", of=None)).status_code != 200:  # noqa: ASYNC110  it tells no other way
                await asyncio.sleep(0.05)


class Api(Caller):
    """The API, and the Redis behind it."""

    def __init__(self, caller: Caller, redis: Client, database: Database, config: Config) -> None:
        super().__init__(caller.http, caller.app)
        self.redis = redis
        self.database = database
        self.config = config
        self.events = Events(database, keep_ms=KEEP_MS)

    async def keys(self, pattern: str = "*") -> set[bytes]:
        """Every key that Redis holds."""
        return set(await self.redis_says("KEYS", pattern))

    async def redis_says(self, *command: str | int | bytes) -> Any:
        return await cast("Callable[..., Awaitable[Any]]", self.redis.execute_command)(*command)

    async def records(self) -> int:
        """How many messages are kept, whether a list shows them or not."""
        return len(await self.keys("relay:{0}:m:*"))

    async def wipe(self) -> None:
        """Leaves nothing but the secret of the indexes, which a running API has read."""
        if gone := await self.keys() - {b"relay:index-secret"}:
            await self.redis_says("DEL", *gone)

    async def deliver(self, verdict: str) -> list[DueEvent]:
        """Ends the delivery of all that is due as `delivered` or `dead`."""
        _, due = await self.events.claim(most=100, slots=100, lease_ms=5000, fence="test")
        for event in due:
            assert await self.events.settle(event, verdict, status=500, error="said no", retry_in_ms=0)
        return due

    async def lease(self, campaign: str) -> object:
        """Puts what is queued into a batch, so that it is on its way."""
        await asyncio.sleep(0.01)  # longer than the campaign lingers
        settings = self.config.campaigns[campaign]
        return await Batches(self.database).lease(settings, self.config.accounts[settings.account])

    async def submitted(self, message_id: str) -> None:
        """Has the provider take it, alone in its batch."""
        campaign = self.config.campaigns["login-otp"]
        await asyncio.sleep(0.01)  # longer than the campaign lingers
        batches = Batches(self.database)
        batch = await batches.lease(campaign, self.config.accounts[campaign.account])
        assert isinstance(batch, Batch), batch
        assert [one.message_id for one in batch.members] == [message_id]
        await batches.mark_sending(batch, lease_ms=15_000)
        await batches.settle(batch, "missing", taken={batch.members[0].message_id: f"call-{message_id}"})

    async def answered(self, message_id: str, *, keys: list[str] | None = None) -> None:
        """Has its call answered."""
        await self.submitted(message_id)
        found = await Outcomes(self.database).give_row(
            "main",
            NUMBER,
            Call(
                call_id=f"call-{message_id}",
                caller_id="19001000",
                called_at=None,
                duration=8,
                key_press="7 (29)",
                keys=keys or [],
                note="NORMAL CLEARING",
                state=40,
            ),
            "other",
            called_at_ms=None,
            tolerance_ms=0,
            redial_ms=0,
        )
        assert found.fate == "settled"

    async def in_state(self, state: CallbackState, client: str = "checkout") -> list[str]:
        found, _ = await self.events.deliveries(client, state, limit=100, cursor=None)
        return [str(one.callback.event_id) for one in found]


def assert_problem(answer: httpx.Response, status: int, slug: str) -> Json:
    """The document of RFC 9457, which must repeat no code and no number."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    document = cast("Json", answer.json())
    assert document["type"] == BASE + slug
    assert document["title"] == _TITLES[slug]
    assert document["status"] == status
    assert document["detail"].endswith(".")
    assert CODE not in answer.text
    assert NUMBER[-9:] not in answer.text
    return document


def pointers(document: Json) -> list[str]:
    """The fields at fault, in order of their pointers."""
    return sorted(one["pointer"] for one in document["errors"])
