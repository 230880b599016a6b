"""The way to Redis: one client a process, made from the configuration, with deadlines on everything.

Owns how URLs are understood. Nothing here knows a message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from app.store.faults import StoreUnfitError

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 5.0

Client = Redis
"""redis-py's client; answers are bytes."""


def connect_raw(url: str, **more: object) -> Client:
    """As `connect`; answers come as Redis sent them, since the library's reshaping differs by command and version."""
    client = cast("Callable[..., Client]", connect)(url, **more)
    client.response_callbacks.clear()
    return client


def connect(url: str, *, client_class: type[Redis] = Redis, **more: object) -> Client:
    """A client for `redis://`, `rediss://`, `unix://` or `redis+sentinel://`; nothing is sent before it is used.

    `StoreUnfitError` for Redis Cluster, which this version does not serve.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": ANSWER_TIMEOUT_S,
        "health_check_interval": 0,
        "retry": Retry(NoBackoff(), 0),
        **more,
    }
    scheme = urlsplit(url).scheme
    if scheme == "redis+cluster":
        raise StoreUnfitError("redis+cluster:// is not served by this version: name one Redis or a Sentinel")
    if scheme == "redis+sentinel":
        return _by_sentinel(url, client_class, options)
    from_url = cast("Callable[..., Client]", client_class.from_url)
    return from_url(url, **options)


def _by_sentinel(url: str, client_class: type[Redis], options: dict[str, Any]) -> Client:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    addresses = [_address(host) for host in hosts.split(",")]
    service, _, database = parts.path.strip("/").partition("/")
    login = {"username": unquote(user) or None, "password": unquote(password) or None}
    sentinel = cast("Callable[..., Sentinel]", Sentinel)(
        addresses, sentinel_kwargs={"socket_timeout": CONNECT_TIMEOUT_S}, **options
    )
    master_for = cast("Callable[..., Client]", sentinel.master_for)
    return master_for(service, redis_class=client_class, db=int(database or 0), **login)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    return (host, int(port)) if colon else (text, 26379)
