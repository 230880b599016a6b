"""A callback URL is judged twice: when a message is accepted, and by what is allowed when its callback is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.message import CallbackState
from tests.api.desk import Json, open_api, otp
from tests.callbacks.hostile_urls import HOSTILE_URLS
from tests.servers import valkey_server
from tests.workers.consumers import consuming, office
from tests.workers.rig import said

ALLOW = 'callback_allow = ["https://checkout.internal", "http://*.svc.cluster.local:*"]'
ADMITTED = ".svc.cluster.local:{port}/"
"""What such an end has may be asked for; it is the address that refuses it."""


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with valkey_server() as server:
        yield server.url


async def test_a_hostile_url_is_refused_at_the_door_by_field_and_not_repeated(redis_url: str) -> None:
    refused = [url for url, _ in HOSTILE_URLS if not url.endswith(ADMITTED)]
    assert len(refused) > 90
    async with open_api(redis_url, {"notices": ALLOW}) as api:
        for url in refused:
            answer = await api.post(notice(url.replace("{port}", "8080")), of="notices")
            assert answer.status_code == 422, url
            (error,) = answer.json()["errors"]
            assert error["pointer"] == "/callback_url", url
            assert not any(part in answer.text for part in ("s3cret", "127.0.0.1", "8080", "evil")), (
                answer.text
            )
        assert await api.records() == 0
        taken = await api.post(notice("https://CHECKOUT.internal:443/otp"), of="notices")
        assert taken.status_code == 202


def notice(url: str) -> Json:
    return otp(campaign="order-notice", otp_code=None, callback_url=url)


async def test_what_was_allowed_at_the_door_and_is_not_any_more_is_told_and_never_connected_to(
    redis_url: str, tmp_path: Path
) -> None:
    """Its entry is gone from the configuration. No breaker opens: another client may still send there."""
    async with office(redis_url, tmp_path, 'retry_schedule = ["50ms"]') as post, consuming() as consumer:
        sent = [await post.event_for(consumer, path="/hooks/s3cret?token=s3cret") for _ in range(6)]
        head, client, tail = post.file.read_text().partition("[clients.checkout]")
        fewer = tail.replace('"https://127.0.0.1:*", "http://127.0.0.1:*"', '"http://127.0.0.1:9"', 1)
        assert fewer != tail
        post.file.write_text(head + client + fewer)
        await post.start_worker()
        for message_id, _ in sent:
            dead = await post.until_delivery(message_id, state=CallbackState.DEAD)
            assert (dead.attempts, dead.last_status) == (2, None)
            assert dead.last_error is not None
            assert dead.last_error.startswith("url not allowed: scheme, host and port must match")
        assert consumer.connections == 0
        assert not await post.database.read("KEYS", post.database.key("breaker", "*"))
        assert len(said(post, "callback dead", client="checkout")) == 6
        assert "s3cret" not in post.logs()


async def test_what_a_destination_says_is_kept_nowhere(redis_url: str, tmp_path: Path) -> None:
    """Status and our own words alone: no reason phrase, header or body, and so no line of a log that is its own."""
    injected = b'\r\nx-log: \x1b[31m{"event": "forged"}'
    answers = (
        b"HTTP/1.1 500 forged \x1b[31m\xff\r\nx-forged: forged\r\ncontent-length: 6\r\n\r\nforged",
        b"HTTP/1.1 999 forged\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 forged\r\ncontent-length: forged\r\n\r\n",
        b'forged\n{"event": "forged"}\n',
        b"HTTP/1.1 302 forged\r\nlocation: http://forged/\r\ncontent-length: 0" + injected + b"\r\n\r\n",
    )
    async with office(redis_url, tmp_path, "retry_schedule = []") as post:
        await post.start_worker()
        for answer in answers:
            async with consuming(answer) as consumer:
                message_id, _ = await post.event_for(consumer)
                dead = await post.until_delivery(message_id, state=CallbackState.DEAD)
                assert dead.last_error is not None
                assert dead.last_error.isascii()
                assert dead.last_error.isprintable()
                assert "forged" not in str(await post.show(message_id))
        assert "forged" not in post.logs()
        assert b"forged" not in b"".join(
            [await post.database.read("DUMP", key) for key in await post.database.read("KEYS", "*")]
        )
        assert all(line.startswith("{") for line in post.logs().splitlines())
