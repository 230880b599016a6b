"""A worker in an environment that would lead its connections elsewhere: they go where the configuration says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from app.message import CallbackState
from tests.callbacks.destination import Destination, listening
from tests.servers import valkey_server
from tests.workers.conftest import rigs
from tests.workers.consumers import consuming, office

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY", "SOCKS_PROXY", "FTP_PROXY")


@pytest.fixture
def redis_url() -> Iterator[str]:
    with valkey_server() as server:
        yield server.url


async def test_proxies_and_logins_of_the_environment_are_ignored_by_a_real_worker(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For what it asks the provider as for callbacks."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login s3cret password s3cret\n")
    netrc.chmod(0o600)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(listening(Destination()))
        for name in PROXIES:
            for spelled in (name, name.lower()):
                monkeypatch.setenv(spelled, proxy.url(""))
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("HOME", str(tmp_path))
        folder = tmp_path / "whole"
        folder.mkdir()
        make = await stack.enter_async_context(rigs(redis_url, folder))
        rig = await make(call_time_s=0.1)
        await rig.final(await rig.send("+84901234567"))
        await rig.receiver.wait_for(1)
        assert proxy.connections == 0


async def test_a_login_of_the_environment_is_in_no_callback(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login s3cret password s3cret\nmachine 127.0.0.1 login s3cret password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    async with office(redis_url, tmp_path) as post, consuming() as consumer:
        await post.start_worker()
        message_id, _ = await post.event_for(consumer)
        await post.until_delivery(message_id, state=CallbackState.DELIVERED)
        sent = {
            name
            for line in consumer.requests[0][0].split(b"\r\n")[1:]
            for name in [line.split(b":")[0].lower()]
        }
        assert sent - {b""} == {
            b"host", b"content-type", b"content-length", b"user-agent", b"accept", b"accept-encoding",
            b"webhook-id", b"webhook-timestamp", b"webhook-signature",
        }  # fmt: skip
        consumer.check_signatures()
