"""Names whose server means harm, asked for real: no connection is even begun to an address that is not allowed.

What is counted is every `connect` of the process, by Python's audit hook, and every accept of a listener on loopback.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from aiohttp.abc import AbstractResolver

from app.callbacks.delivery import Verdict
from tests.callbacks.conftest import MakeSender
from tests.callbacks.destination import Destination, listening, policy
from tests.callbacks.name_server import (
    A,
    Alias,
    Answer,
    NameServer,
    asked_by_hand,
    serving_names,
    system_names,
)

ZONE = "rebind.example"
ALLOWED = "127.0.0.2"
METADATA = "169.254.169.254"


class Connects:
    """The addresses that any socket of this process was told to connect to, while `watching`."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.watching = False
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.watching and event == "socket.connect":
            sock, address = arguments
            assert isinstance(sock, socket.socket)
            if sock.type == socket.SOCK_STREAM and isinstance(address, tuple):
                self.addresses.append(str(address[0]))


_connects: list[Connects] = []
"""One for the process: an audit hook cannot be taken back."""


@pytest.fixture
def connects() -> Iterator[Connects]:
    if not _connects:
        _connects.append(Connects())
    (heard,) = _connects
    heard.addresses.clear()
    heard.watching = True
    yield heard
    heard.watching = False


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    async with serving_names(NameServer({})) as server:
        yield server


@pytest.fixture(params=("system", "by hand"))
async def resolver(
    names: NameServer, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AbstractResolver:
    if request.param == "by hand":
        return asked_by_hand(names)
    return await system_names(names, monkeypatch.setattr)


@pytest.fixture
async def inside() -> AsyncIterator[Destination]:
    """What must not be reached: the same port on every interface, IPv6 among them where there is any."""
    async with AsyncExitStack() as stack:
        destination = await stack.enter_async_context(listening(Destination(), host="127.0.0.1"))
        yield destination


MAY = policy(f"http://*.{ZONE}:*", f"http://{ALLOWED}:*")


@pytest.mark.parametrize("inwards", ("127.0.0.1", METADATA))
async def test_a_name_that_changes_between_check_and_connect_gains_nothing(
    inwards: str,
    make_sender: MakeSender,
    names: NameServer,
    resolver: AbstractResolver,
    inside: Destination,
    connects: Connects,
) -> None:
    """TTL 0, and another answer each time: what is connected to is what was checked, or nothing is."""
    name = f"flip.{ZONE}"
    names.zone[name] = [[ALLOWED], [inwards]] * 4
    sender = make_sender(resolver=resolver)
    url = inside.url(host=name)
    errors = [(await sender.send(url, MAY, {}, b"{}")).error for _ in range(8)]
    word = "loopback" if inwards == "127.0.0.1" else "link-local"
    assert errors == ["connect refused", f"address not allowed: {word}"] * 4
    assert names.times_asked(name) == 8
    assert inside.connections == 0
    assert connects.addresses == [ALLOWED] * 4


async def test_a_kept_connection_is_to_the_address_that_was_checked_for_it(
    make_sender: MakeSender, names: NameServer, resolver: AbstractResolver, connects: Connects
) -> None:
    """The name has moved inwards meanwhile: the old connection still leads where it led, and a new one is refused."""
    name = f"kept.{ZONE}"
    async with listening(Destination(), host=ALLOWED) as good:
        names.zone[name] = [[ALLOWED], ["127.0.0.1"]]
        sender = make_sender(resolver=resolver)
        for _ in range(2):
            assert (await sender.send(good.url(host=name), MAY, {}, b"{}")).verdict is Verdict.DELIVERED
        assert good.connections == 1
        fewer = policy(f"http://*.{ZONE}:*")
        refused = await sender.send(good.url(host=name), fewer, {}, b"{}")
        assert refused.error == "address not allowed: loopback"
        assert len(good.requests) == 2
    assert connects.addresses == [ALLOWED]


HARMFUL: dict[str, list[Answer]] = {
    "one-of-several": [[ALLOWED, "127.0.0.1"]],
    "first-of-several": [["127.0.0.1", ALLOWED]],
    "metadata-of-several": [[ALLOWED, "127.0.0.3", METADATA]],
    "alias": [[Alias(f"target.{ZONE}")]],
    "alias-of-alias": [[Alias(f"alias.{ZONE}")]],
    "target": [["127.0.0.1"]],
    "zero": [["0.0.0.0"]],
    "broadcast": [["255.255.255.255"]],
    "this-network": [["0.1.2.3"]],
    "azure": [["168.63.129.16"]],
}
OF_IPV6: dict[str, list[Answer]] = {
    "mapped": [["::ffff:127.0.0.1"]],
    "mapped-beside": [[ALLOWED, "::ffff:169.254.169.254"]],
    "compatible": [["::127.0.0.1"]],
    "six": [["::1"]],
    "six-to-four": [["2002:7f00:1::1"]],
    "teredo": [["2001:0:a9fe:a9fe::"]],
    "nat64": [["64:ff9b::7f00:1"]],
    "link": [["fe80::1"]],
}


async def test_no_answer_that_points_inwards_is_connected_to_nor_any_beside_it(
    make_sender: MakeSender,
    names: NameServer,
    resolver: AbstractResolver,
    inside: Destination,
    connects: Connects,
) -> None:
    names.zone.update({f"{name}.{ZONE}": rows for name, rows in (HARMFUL | OF_IPV6).items()})
    sender = make_sender(resolver=resolver)
    for name in (*HARMFUL, *OF_IPV6):
        attempt = await sender.send(inside.url(host=f"{name}.{ZONE}"), MAY, {}, b"{}")
        wanted = {"address not allowed"}
        if name in OF_IPV6:
            # The C library asks for IPv6 addresses only on a machine that has one.
            wanted |= {"name not found", "name lookup failed", "connect refused"}
        assert attempt.error is not None
        assert attempt.error.split(":")[0] in wanted, (name, attempt.error)
    assert inside.connections == 0
    assert set(connects.addresses) <= {ALLOWED}


async def test_addresses_of_ipv6_are_seen_when_they_are_asked_for(
    make_sender: MakeSender, names: NameServer, inside: Destination, connects: Connects
) -> None:
    names.zone.update({f"{name}.{ZONE}": rows for name, rows in OF_IPV6.items()})
    sender = make_sender(resolver=asked_by_hand(names))
    for name in OF_IPV6:
        attempt = await sender.send(inside.url(host=f"{name}.{ZONE}"), MAY, {}, b"{}")
        assert (attempt.error or "").startswith("address not allowed: "), (name, attempt.error)
    assert connects.addresses == []


@pytest.mark.parametrize(
    ("answer", "errors"),
    (
        ([], {"name not found", "name lookup failed"}),
        (None, {"name lookup failed"}),
        (b"", {"name lookup failed"}),
        (b"\x85\x80\xff\xff\xff\xff\xff\xff\xff\xff\xc0\x0c", {"name lookup failed", "name not found"}),
        (b"\x81\x82" + bytes(8), {"name lookup failed", "name not found"}),
    ),
    ids=("nothing", "silence", "two bytes", "garbage", "server failure"),
)
async def test_a_name_server_that_fails_is_a_failed_attempt_and_no_more(
    answer: Answer,
    errors: set[str],
    make_sender: MakeSender,
    names: NameServer,
    resolver: AbstractResolver,
    connects: Connects,
) -> None:
    names.zone[f"broken.{ZONE}"] = [answer]
    async with asyncio.timeout(8):
        attempt = await make_sender(resolver=resolver, timeout_s=7).send(
            f"http://broken.{ZONE}/", MAY, {}, b"{}"
        )
    assert attempt.error in errors
    assert (f"broken.{ZONE}", A) in names.asked
    assert connects.addresses == []
