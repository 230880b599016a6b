"""No connection goes to an address that is not allowed, by whatever way it is asked for."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

import app.callbacks.resolver as resolver_module
from app.callbacks.address_policy import AddressRefused, CallbackPolicy
from app.callbacks.connections import Connections
from app.callbacks.delivery import Verdict
from app.callbacks.resolver import LOOKUPS_OF_ONE_POLICY, CheckedResolver, SystemNames
from tests.callbacks.conftest import MakeSender
from tests.callbacks.destination import LOOPBACK_LISTED, Destination, Names, policy
from tests.callbacks.hostile_urls import HOSTILE_URLS

USUAL = policy("https://checkout.internal", "http://*.svc.cluster.local:*")
ZONE = "svc.cluster.local"
INWARDS = {
    f"inwards.{ZONE}": ["127.0.0.1"],
    f"a.inwards.{ZONE}": ["127.0.0.1"],
    f"mixed.{ZONE}": ["192.0.2.1", "127.0.0.1"],
    f"mapped.{ZONE}": ["::ffff:127.0.0.1"],
    f"zero.{ZONE}": ["0.0.0.0"],
    f"metadata.{ZONE}": ["169.254.169.254"],
    "checkout.internal": ["127.0.0.1"],
    "localhost": ["127.0.0.1"],
}


def inward_names() -> Names:
    service = Names()
    service.answers = {name: [addresses] for name, addresses in INWARDS.items()}
    return service


async def test_no_hostile_url_reaches_a_server_on_loopback(
    make_sender: MakeSender, destination: Destination
) -> None:
    sender = make_sender(resolver=inward_names(), timeout_s=2)
    for url, _ in HOSTILE_URLS:
        attempt = await sender.send(url.replace("{port}", str(destination.port)), USUAL, {}, b"{}")
        assert attempt.verdict is Verdict.RETRY, url
        assert attempt.status is None, url
        assert attempt.error is not None, url
        assert "not allowed" in attempt.error, url
    assert destination.connections == 0
    assert (await sender.send(destination.url(), LOOPBACK_LISTED, {}, b"{}")).verdict is Verdict.DELIVERED


async def test_a_name_reaches_loopback_where_its_address_is_listed_beside_it(
    make_sender: MakeSender, destination: Destination
) -> None:
    sender = make_sender(resolver=inward_names())
    url = destination.url(host=f"inwards.{ZONE}")
    both = policy(f"http://*.{ZONE}:*", f"http://127.0.0.1:{destination.port}")
    other_port = policy(f"http://*.{ZONE}:*", "http://127.0.0.1:1")
    assert (await sender.send(url, both, {}, b"{}")).verdict is Verdict.DELIVERED
    refused = await sender.send(url, other_port, {}, b"{}")
    assert refused.error == "address not allowed: loopback"
    assert destination.connections == 1


async def test_one_refused_address_among_several_refuses_the_name(
    make_sender: MakeSender, destination: Destination
) -> None:
    service = Names()
    service.answers = {f"x.{ZONE}": [["127.0.0.1", "169.254.169.254"]]}
    allowed = policy(f"http://*.{ZONE}:*", "http://127.0.0.1:*")
    attempt = await make_sender(resolver=service).send(destination.url(host=f"x.{ZONE}"), allowed, {}, b"{}")
    assert attempt.error == "address not allowed: link-local"
    assert destination.connections == 0


async def test_a_name_that_answers_otherwise_the_second_time_gains_nothing(
    make_sender: MakeSender, destination: Destination
) -> None:
    """The connection goes to the answer that was checked: the name is asked once for it, and checked each time."""
    service = Names()
    service.answers = {f"rebind.{ZONE}": [["127.0.0.2"], ["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1"]]}
    url = destination.url(host=f"rebind.{ZONE}")
    first_only = policy(f"http://*.{ZONE}:*", "http://127.0.0.2:*")
    sender = make_sender(resolver=service)
    errors = [(await sender.send(url, first_only, {}, b"{}")).error for _ in range(4)]
    assert errors == [
        "connect refused",  # 127.0.0.2, listed; a second question would have led to 127.0.0.1
        "address not allowed: loopback",
        "address not allowed: link-local",
        "address not allowed: loopback",
    ]
    assert len(service.asked) == 4
    assert destination.connections == 0


async def test_a_connection_is_not_shared_with_a_client_that_may_not_have_it(
    make_sender: MakeSender, destination: Destination
) -> None:
    sender = make_sender(resolver=inward_names())
    url = destination.url(host=f"inwards.{ZONE}")
    may = policy(f"http://*.{ZONE}:*", "http://127.0.0.1:*")
    assert (await sender.send(url, may, {}, b"{}")).verdict is Verdict.DELIVERED
    assert (await sender.send(url, USUAL, {}, b"{}")).error == "address not allowed: loopback"
    same = policy(f"http://*.{ZONE}:*", "http://127.0.0.1:*")
    assert (await sender.send(url, same, {}, b"{}")).verdict is Verdict.DELIVERED
    assert destination.connections == 1


async def test_an_address_that_no_resolver_was_asked_about_is_stopped_at_the_socket(
    destination: Destination,
) -> None:
    """aiohttp asks no resolver about literal addresses: what guards them must not depend on it."""
    connections = Connections(ssl.create_default_context(), inward_names(), 4)
    try:
        async with connections.session(USUAL) as session:
            with pytest.raises(AddressRefused):
                await session.post(destination.url())
    finally:
        await connections.close()
    assert destination.connections == 0


async def test_pools_longest_unused_are_closed_and_those_in_use_are_not(destination: Destination) -> None:
    def of(n: int) -> CallbackPolicy:
        return policy("http://127.0.0.1:*", f"https://client-{n}")

    connections = Connections(ssl.create_default_context(), inward_names(), 4, max_idle=2)
    try:
        async with connections.session(of(0)) as held:
            sessions: list[aiohttp.ClientSession] = []
            for n in range(1, 5):
                async with connections.session(of(n)) as session:
                    sessions.append(session)
            assert not held.closed
            assert [session.closed for session in sessions] == [True, True, True, False]
            async with held.post(destination.url(), data=b"{}") as answer:
                assert answer.status == 200
    finally:
        await connections.close()
    assert held.closed


async def test_a_name_that_does_not_exist_is_said_in_short(make_sender: MakeSender) -> None:
    attempt = await make_sender(resolver=Names()).send(f"http://s3cret.{ZONE}/", USUAL, {}, b"{}")
    assert (attempt.verdict, attempt.error) == (Verdict.RETRY, "name not found")


async def test_a_name_service_that_hangs_is_left_at_the_time_out(make_sender: MakeSender) -> None:
    class Silent(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            await asyncio.Event().wait()
            return []

        async def close(self) -> None:
            return

    attempt = await make_sender(resolver=Silent(), timeout_s=0.2).send(f"http://x.{ZONE}/", USUAL, {}, b"{}")
    assert attempt.error == "timed out resolving the name"


async def test_the_system_s_names_are_checked_like_any(
    make_sender: MakeSender, destination: Destination
) -> None:
    sender = make_sender()
    url = destination.url(host="localhost")
    refused = await sender.send(url, policy("http://localhost:*"), {}, b"{}")
    assert refused.error == "address not allowed: loopback"
    assert destination.connections == 0
    listed = policy("http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*")
    assert (await sender.send(url, listed, {}, b"{}")).verdict is Verdict.DELIVERED


@pytest.fixture
def hanging_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingNames]:
    names = HangingNames()
    monkeypatch.setattr(resolver_module, "_look_up", names.look_up)
    yield names
    names.released.set()


class HangingNames:
    """What the system is asked: names that begin with `hang` are not answered until released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked: list[str] = []

    def look_up(self, host: str, family: socket.AddressFamily) -> list[ResolveResult]:
        self.asked.append(host)
        if host.startswith("hang"):
            self.released.wait(10)
        return []


async def test_a_name_under_way_is_asked_once_for_all_who_wait_and_holds_up_no_other(
    hanging_names: HangingNames,
) -> None:
    service = CheckedResolver(SystemNames(), USUAL)
    waiting = [asyncio.ensure_future(service.resolve("hanging", 80)) for _ in range(100)]
    await asyncio.sleep(0)
    assert await service.resolve("prompt", 80) == []
    waiting[0].cancel()
    hanging_names.released.set()
    assert await asyncio.gather(*waiting[1:]) == [[]] * 99
    assert hanging_names.asked.count("hanging") == 1
    await service.resolve("hanging", 80)
    assert hanging_names.asked.count("hanging") == 2


async def test_one_client_s_hanging_names_leave_lookups_for_the_others_and_nobody_waits_in_vain(
    hanging_names: HangingNames,
) -> None:
    """Those who gave up leave no question behind that would be asked for nobody."""
    names = SystemNames()
    hostile, other = CheckedResolver(names, USUAL), CheckedResolver(names, LOOPBACK_LISTED)
    waiting = [asyncio.ensure_future(hostile.resolve(f"hang{n}", 80)) for n in range(300)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await other.resolve("prompt", 80) == []
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    hanging_names.released.set()
    async with asyncio.timeout(5):
        assert await hostile.resolve("prompt", 80) == []
    assert len(hanging_names.asked) == LOOKUPS_OF_ONE_POLICY + 2


def test_a_process_ends_while_a_name_server_hangs() -> None:
    """Python waits for the threads of an executor at its end, and a name may hang for minutes."""
    program = """
import asyncio, time
import app.callbacks.resolver as resolver
resolver._look_up = lambda host, family: time.sleep(60)
async def ask():
    async with asyncio.timeout(0.1):
        await resolver.SystemNames().resolve("hanging", 80)
try:
    asyncio.run(ask())
except TimeoutError:
    print("left")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout == "left\n"
