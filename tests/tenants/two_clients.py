"""Two clients that sent the same to the same numbers, under the same references and keys; and what is one's alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import httpx

from tests.api.desk import Api, Json, otp

A, B = "checkout", "delivery"
REFERENCE, NUMBER = "the-same", "0901234567"
KEY, BATCH_KEY = "the-same-key", "the-same-batch"

_ID = re.compile(r"\b(?:msg|evt)_[0-9a-z]+")


def single(of: str) -> Json:
    """The body under `KEY`."""
    return otp(reference=REFERENCE, metadata={"of": mark(of)}, variables={"ten": mark(of)})


def mark(of: str) -> str:
    """What stands in every message of this client and of no other."""
    return f"mark-of-{of}"


@dataclass
class Own:
    """What is this client's."""

    client: str
    queued: str = ""
    cancelled: str = ""
    dead_event: str = ""
    delivered_event: str = ""
    cursors: dict[str, str] = field(default_factory=dict)
    """By path with its query: where the next page of it begins."""


LISTS = (
    f"/v1/messages?reference={REFERENCE}", f"/v1/messages?phone_number={NUMBER}", "/v1/callbacks?state=dead",
    "/v1/callbacks?state=delivered", "/v1/callbacks?state=pending",
)  # fmt: skip


class Two:
    """Both, and the API that they use."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.a, self.b = Own(A), Own(B)

    async def foreign_ids(self, answer: httpx.Response, client: str) -> set[str]:
        """Ids in an answer, head and body, of messages and events that are not this client's."""
        found = set(_ID.findall(f"{answer.text} {answer.headers!r}"))
        owners = {
            one: await self.api.redis_says("HGET", f"relay:{{0}}:{'m' if one[0] == 'm' else 'e'}:{one}", "cl")
            for one in found
        }
        return {one for one, owner in owners.items() if owner != client.encode()}

    async def view_of(self, client: str) -> dict[str, str]:
        """All that this client can see of what it has."""
        own = self.a if client == A else self.b
        paths = (
            *(f"{one}&limit=100" for one in LISTS),
            *(f"/v1/messages/{one}" for one in (own.queued, own.cancelled)),
            "/v1/events?limit=1000", "/v1/campaigns",
        )  # fmt: skip
        return {path: (await self.api.ask("GET", path, of=client)).text for path in paths}


async def two_clients(api: Api) -> Two:
    """Each has messages queued and cancelled, a batch, and callbacks pending, dead and delivered; made in turn."""
    two = Two(api)
    pair = (two.a, two.b)
    for verdict in ("dead", "delivered", "pending"):
        for own in pair:
            for _ in range(2):
                made = await api.cancelled(of=own.client, **single(own.client))
                own.cancelled = made["id"]
                if verdict != "pending":
                    setattr(own, f"{verdict}_event", made["event"])
        if verdict != "pending":
            await api.deliver(verdict)
    for own in pair:
        own.queued = (await api.post(single(own.client), of=own.client, key=KEY)).json()["id"]
        batch = {"messages": [single(own.client)]}
        assert (
            await api.post(batch, path="/v1/messages/batch", of=own.client, key=BATCH_KEY)
        ).status_code == 202
    for own in pair:
        for path in LISTS:
            own.cursors[path] = (await api.ask("GET", f"{path}&limit=1", of=own.client)).json()["next_cursor"]
        events = "/v1/events?limit=1"
        own.cursors[events] = (await api.ask("GET", events, of=own.client)).json()["next_cursor"]
    assert all(all(own.cursors.values()) for own in pair)
    return two
