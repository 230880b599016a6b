"""What Redis must never hold once all is settled: leftovers of messages, batches and claims that are over.

Reads the whole shard; for tests, between moves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from app.message import FINAL
from app.store.connection import Client
from app.store.database import PREFIX

FINAL_STATES = frozenset(state.value for state in FINAL)

_REGISTRIES = frozenset(
    {
        "queued", "due", "waiting", "turns", "woken", "wake", "leases", "under_way", "ambiguous", "sources", "open",
        "redials", "numbers", "parked", "destinations", "push", "pushing", "pending", "generations", "token", "hold",
        "pause",
    }
)  # fmt: skip
"""Kinds of keys that live on without an end of their own; most are empty, and so absent, when nothing is under way."""


class _Shelf:
    """The shard's keys by kind, and the commands to read them."""

    def __init__(self, client: Client) -> None:
        self._execute = cast("Callable[..., Awaitable[Any]]", client.execute_command)
        self.by_kind: dict[str, list[str]] = {}
        self.states: dict[str, str] = {}

    async def load(self) -> None:
        for raw in await self._execute("KEYS", f"{PREFIX}*"):
            kind, _, rest = raw.decode().removeprefix(PREFIX).partition(":")
            self.by_kind.setdefault(kind, []).append(rest)
        for message_id in self.by_kind.get("m", []):
            state = await self.read("HGET", f"m:{message_id}", "s")
            self.states[message_id] = state.decode() if state else "(a record without a state)"

    async def read(self, command: str, key: str, *args: str) -> Any:
        return await self._execute(command, PREFIX + key, *args)

    async def texts(self, command: str, key: str, *args: str) -> list[str]:
        return [one.decode() for one in await self.read(command, key, *args)]

    def unfinished(self, message_id: str) -> bool:
        return self.states.get(message_id, "answered") not in FINAL_STATES


async def faults_of(client: Client) -> list[str]:
    """Every leftover, in words; empty if Redis is tidy."""
    shelf = _Shelf(client)
    await shelf.load()
    return [fault for check in (_claims, _queues, _batches, _calls, _lives) for fault in await check(shelf)]


async def assert_tidy(client: Client) -> None:
    """Fails, and says what was left behind."""
    assert await faults_of(client) == []


async def _claims(shelf: _Shelf) -> list[str]:
    faults = []
    for account in shelf.by_kind.get("numbers", []):
        flat = await shelf.texts("HGETALL", f"numbers:{account}")
        faults += [
            f"a number claimed by {one}, which is over" for one in flat[1::2] if not shelf.unfinished(one)
        ]
    for number in shelf.by_kind.get("parked", []):
        account, _, hashed = number.partition(":")
        if await shelf.read("HGET", f"numbers:{account}", hashed) is None:
            faults.append(f"messages parked on a number that nobody claims: {number}")
    return faults


async def _queues(shelf: _Shelf) -> list[str]:
    faults = []
    for kind in ("queued", "due", "waiting"):
        for queue in shelf.by_kind.get(kind, []):
            ids = await shelf.texts("ZRANGE", f"{kind}:{queue}", "0", "-1")
            faults += [
                f"{one} is {shelf.states.get(one)} and stands in {kind}:{queue}"
                for one in ids
                if shelf.states.get(one) != "queued"
            ]
    places = [one for queue in shelf.by_kind.get("queued", []) for one in await shelf.texts(
        "ZRANGE", f"queued:{queue}", "0", "-1"
    )]  # fmt: skip
    faults += [
        f"{one} is queued and stands in no queue"
        for one, state in shelf.states.items()
        if state == "queued" and one not in places
    ]
    return faults


async def _batches(shelf: _Shelf) -> list[str]:
    known = await shelf.texts("ZRANGE", "leases", "0", "-1") if "leases" in shelf.by_kind else []
    for source in shelf.by_kind.get("ambiguous", []):
        known += await shelf.texts("ZRANGE", f"ambiguous:{source}", "0", "-1")
    batches = shelf.by_kind.get("b", [])
    faults = [f"{one} has neither lease nor place among the ambiguous" for one in batches if one not in known]
    faults += [f"{one} is leased or ambiguous and has no record" for one in known if one not in batches]
    members = [id_ for one in batches for id_ in await _members(shelf, one)]
    faults += [f"{one} is in two unfinished batches" for one in set(members) if members.count(one) > 1]
    for message_id, state in shelf.states.items():
        if state == "submitting" and message_id not in members:
            faults.append(f"{message_id} is submitting and in no batch")
        if (await shelf.read("HGET", f"m:{message_id}", "bt") is not None) != (state == "submitting"):
            faults.append(f"{message_id} is {state}, and its batch does not fit that")
    return faults


async def _members(shelf: _Shelf, batch: str) -> list[str]:
    ids = (await shelf.read("HGET", f"b:{batch}", "ms") or b"").decode().split()
    pairs = [(one, await shelf.read("HGET", f"m:{one}", "bt")) for one in ids]
    return [one for one, of in pairs if of == batch.encode()]


async def _calls(shelf: _Shelf) -> list[str]:
    faults = []
    for source in shelf.by_kind.get("open", []):
        ids = await shelf.texts("ZRANGE", f"open:{source}", "0", "-1")
        faults += [f"{one} is waited for, yet over" for one in ids if shelf.states.get(one) != "submitted"]
    for index in shelf.by_kind.get("calls", []):
        ids = await shelf.texts("ZRANGE", f"calls:{index}", "0", "-1")
        if await shelf.read("PTTL", f"calls:{index}") == -1 and not any(map(shelf.unfinished, ids)):
            faults.append(f"calls:{index} has no end and no unfinished message")
    return faults


async def _lives(shelf: _Shelf) -> list[str]:
    """Every key ends by itself, or is owned by what is unfinished, or is a registry."""
    faults = []
    for kind, names in shelf.by_kind.items():
        if kind in _REGISTRIES or kind in ("b", "calls"):
            continue
        for name in names:
            owned = kind == "m" and shelf.unfinished(name)
            if not owned and await shelf.read("PTTL", f"{kind}:{name}") == -1:
                faults.append(f"{kind}:{name} never ends")
    return faults
