"""Every operation of the OpenAPI document, asked by one client with all that is another's."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.api.desk import Api
from tests.tenants.two_clients import BATCH_KEY, KEY, LISTS, NUMBER, REFERENCE, A, B, Own, Two, mark, single

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODYS = Own(
    "nobody",
    queued="msg_06h0z4c5gw06sa7ttaw0ajvt32",
    cancelled="msg_06h0z4c5gw06sa7ttaw0ajvt33",
    dead_event="evt_06h0z4c5gw06sa7ttaw0ajvt33r2",
    delivered_event="evt_06h0z4c5gw06sa7ttaw0ajvt34r2",
)


@dataclass(frozen=True)
class Ask:
    """One request."""

    method: str
    path: str
    body: object = None
    key: str | None = None

    async def of(self, api: Api, client: str) -> httpx.Response:
        headers = {} if self.key is None else {"idempotency-key": self.key}
        more: dict[str, Any] = {} if self.body is None else {"json": self.body}
        return await api.ask(self.method, self.path, of=client, headers=headers, **more)


def _pages(own: Own, *paths: str) -> Iterator[Ask]:
    """Each list from its start, and from cursors of the other's: its own, of other lists, and bent."""
    for path in paths:
        name = "after" if path.startswith("/v1/events") else "cursor"
        yield Ask("GET", path)
        for cursor in own.cursors.values():
            at, _, row = cursor.partition("-")
            bent = (
                cursor,
                f"{int(at) + 1}-{row}",
                f"999999999999999-{own.queued}",
                f"0-{row}",
                f"{at}-0",
            )
            for one in bent:
                yield Ask("GET", f"{path}{'&' if '?' in path else '?'}{name}={quote(one)}")


def _replays(own: Own) -> Iterator[Ask]:
    for state in ("dead", "delivered"):
        yield Ask("POST", "/v1/callbacks/replay", {"since": "2020-01-01T00:00:00Z", "state": state})


ASKS: dict[tuple[str, str], Callable[[Own], Iterator[Ask]]] = {
    ("post", "/v1/messages"): lambda own: iter((
        Ask("POST", "/v1/messages", single(B), KEY), Ask("POST", "/v1/messages", single(B)),
        Ask("POST", "/v1/messages", single(B), BATCH_KEY),
    )),
    ("post", "/v1/messages/batch"): lambda own: iter((
        Ask("POST", "/v1/messages/batch", {"messages": [single(B)]}, BATCH_KEY),
        Ask("POST", "/v1/messages/batch", {"messages": [single(B)] * 3}),
        Ask("POST", "/v1/messages/batch", {"messages": [single(B)]}, KEY),
    )),
    ("get", "/v1/messages/{message_id}"): lambda own: (
        Ask("GET", f"/v1/messages/{one}{wait}")
        for one, wait in itertools.product((own.queued, own.cancelled), ("", "?wait=0", "?wait=30"))
    ),
    ("get", "/v1/messages"): lambda own: _pages(own, *(one for one in LISTS if one.startswith("/v1/messages"))),
    ("delete", "/v1/messages/{message_id}"): lambda own: (
        Ask("DELETE", f"/v1/messages/{one}") for one in (own.queued, own.cancelled)
    ),
    ("get", "/v1/campaigns"): lambda own: iter((Ask("GET", "/v1/campaigns"),)),
    ("get", "/v1/events"): lambda own: _pages(own, "/v1/events"),
    ("get", "/v1/callbacks"): lambda own: _pages(own, *(one for one in LISTS if one.startswith("/v1/callbacks"))),
    ("post", "/v1/callbacks/{event_id}/replay"): lambda own: (
        Ask("POST", f"/v1/callbacks/{one}/replay") for one in (own.dead_event, own.delivered_event)
    ),
    ("post", "/v1/callbacks/replay"): _replays,
    ("get", "/livez"): lambda own: iter((Ask("GET", "/livez"),)),
    ("get", "/readyz"): lambda own: iter((Ask("GET", "/readyz"),)),
    ("get", "/metrics"): lambda own: iter((Ask("GET", "/metrics"),)),
}  # fmt: skip
"""How an operation is asked for with what is a client's. A new operation must say so here, or the walk fails."""

BY_ID = tuple(one for one in ASKS if one[1].endswith(("_id}", "_id}/replay")))


async def _operations(api: Api) -> set[tuple[str, str]]:
    paths = (await api.ask("GET", "/openapi.json", of=None)).json()["paths"]
    return {(method, path) for path, item in paths.items() for method in item}


async def test_no_answer_of_any_operation_tells_one_client_anything_of_anothers(two: Two) -> None:
    operations = {one for one in await _operations(two.api) if not one[1].startswith("/v1/admin")}
    assert operations == set(ASKS), "each operation of the document needs its row in ASKS"
    before = await two.view_of(A)
    for operation, own in itertools.product(ASKS, (two.a, two.b)):
        if own is two.b and operation[0] == "delete":
            continue  # what is its own is looked at below
        for ask in ASKS[operation](own):
            if own is two.b and "wait=30" in ask.path:
                continue
            answer = await ask.of(two.api, B)
            assert answer.status_code < 500, (ask, answer.text)
            assert mark(A) not in answer.text, ask
            assert await two.foreign_ids(answer, B) == set(), ask
    assert await two.view_of(A) == before, "nothing of the other's was changed"


async def test_each_client_has_its_own_all_the_same(two: Two) -> None:
    """The walk would see nothing if there were nothing to see."""
    for own in (two.a, two.b):
        for path, text in (await two.view_of(own.client)).items():
            assert mark(own.client) in text or path.startswith(("/v1/callbacks", "/v1/campaigns"))
            assert path == "/v1/campaigns" or re.search("(msg|evt)_", text), path
        for operation in BY_ID:
            for ask in ASKS[operation](own):
                if "wait=30" not in ask.path:
                    assert (await ask.of(two.api, own.client)).status_code in (200, 202)


async def test_a_clients_key_opens_no_operation_of_operators(two: Two) -> None:
    own = {"message_id": two.a.queued, "event_id": two.a.dead_event, "name": "login-otp"}
    operators = [one for one in await _operations(two.api) if one[1].startswith("/v1/admin")]
    assert operators
    for method, path in operators:
        filled = re.sub(r"{(\w+)}", lambda found: own.get(found[1], "login-otp"), path)
        ask = Ask(method.upper(), filled, {"reason": "x"} if method == "post" else None)
        assert (await ask.of(two.api, B)).status_code == 401, (method, path)


@dataclass(frozen=True)
class Seen:
    """All that whoever asks can see, and what Redis did for it: how often which command."""

    status: int
    head: dict[str, str]
    body: bytes
    commands: dict[str, int]


async def _seen(two: Two, ask: Ask) -> Seen:
    await two.api.redis_says("CONFIG", "RESETSTAT")
    answer = await ask.of(two.api, B)
    stats: bytes = await two.api.redis_says("INFO", "commandstats")
    commands = {
        name.decode(): int(calls) for name, calls in re.findall(rb"cmdstat_(\S+?):calls=(\d+)", stats)
    }
    del commands["config|resetstat"]
    head = {name: value for name, value in answer.headers.items() if name != "date"}
    return Seen(answer.status_code, head, answer.content, commands)


@pytest.mark.parametrize("operation", BY_ID, ids=" ".join)
async def test_what_is_anothers_is_answered_as_what_is_nobodys_byte_for_byte(
    two: Two, operation: tuple[str, str]
) -> None:
    """And Redis is asked the same, so that the time of an answer tells no more than its bytes."""
    for ask, other in zip(ASKS[operation](two.a), ASKS[operation](NOBODYS), strict=True):
        anothers = await _seen(two, ask)
        assert anothers == await _seen(two, other)
        assert anothers.status == 404
        assert anothers.commands != {}


async def test_a_number_and_a_reference_of_another_list_as_those_that_nobody_used(two: Two) -> None:
    for path in LISTS[:2]:
        unknown = path.replace(REFERENCE, "not-the-same").replace(NUMBER, "0901234568")
        empty = await two.api.ask("GET", path, of="notices")
        assert empty.json() == {"data": [], "next_cursor": None}
        assert empty.content == (await two.api.ask("GET", unknown, of="notices")).content
