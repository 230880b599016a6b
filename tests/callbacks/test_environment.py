"""A worker in an environment that would lead its connections elsewhere: they go where the configuration says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.callbacks.conftest import MakeSender
from tests.callbacks.destination import LOOPBACK_LISTED, Destination, listening
from tests.servers import valkey_server
from tests.workers.conftest import rigs

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY", "SOCKS_PROXY", "FTP_PROXY")


@pytest.fixture
def redis_url() -> Iterator[str]:
    with valkey_server() as server:
        yield server.url


async def test_proxies_of_the_environment_are_ignored_by_a_real_worker(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For what it asks the provider as for callbacks."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(listening(Destination()))
        for name in PROXIES:
            for spelled in (name, name.lower()):
                monkeypatch.setenv(spelled, proxy.url(""))
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        make = await stack.enter_async_context(rigs(redis_url, tmp_path))
        rig = await make(call_time_s=0.1)
        await rig.final(await rig.send("+84901234567"))
        await rig.receiver.wait_for(1)
        assert proxy.connections == 0


async def test_a_login_of_the_environment_is_in_no_callback(
    make_sender: MakeSender, destination: Destination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login s3cret password s3cret\ndefault login s3cret password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    await make_sender().send(destination.url(), LOOPBACK_LISTED, {"webhook-id": "evt_1"}, b"{}")
    ((head, _),) = destination.requests
    names = {line.split(b":")[0].lower() for line in head.rstrip().split(b"\r\n")[1:]}
    assert names == {
        b"host", b"content-type", b"content-length", b"user-agent", b"accept", b"accept-encoding", b"webhook-id",
    }  # fmt: skip
