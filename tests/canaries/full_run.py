"""A whole relay that is given marked texts in every field that a caller may fill, and all that came of it.

An API and a worker as processes of their own, at the lowest level of their logs, with asyncio's own debugging on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx

from tests.canaries.planted import CODE, MARK, NUMBER, api_key
from tests.trouble.stage import Process

OTHER = "+84901000001"
HIDDEN = {
    name: f"{MARK}{name}"
    for name in ("Reference", "MetadataKey", "Metadata", "Variable", "Path", "Query", "Key", "BatchKey")
}
"""What nobody but the caller may read."""


@dataclass(frozen=True)
class Ran:
    """What is left when the story is over."""

    answers: list[httpx.Response]
    metrics: list[bytes]
    states: dict[str, str]
    """By the message's id."""


def message(receiver_url: str, number: str, reference: str = HIDDEN["Reference"]) -> dict[str, Any]:
    """A message with a marked text in each field."""
    return {
        "campaign": "login-otp",
        "phone_number": number,
        "otp_code": CODE,
        "variables": {"ho_ten": HIDDEN["Variable"]},
        "metadata": {HIDDEN["MetadataKey"]: HIDDEN["Metadata"]},
        "reference": reference,
        "callback_url": f"{receiver_url}/{HIDDEN['Path']}?secret={HIDDEN['Query']}",
    }


async def play(receiver_url: str, api: Process, worker_port: int) -> Ran:
    """One message by itself, a batch, each sent twice under its key; looked up, listed, cancelled, and refused."""
    headers = {"authorization": f"Bearer {api_key('checkout')}"}
    answers: list[httpx.Response] = []
    async with httpx.AsyncClient(base_url=api.url, headers=headers, trust_env=False, timeout=20) as http:

        async def ask(method: str, path: str, key: str | None = None, **more: Any) -> httpx.Response:
            own = {} if key is None else {"idempotency-key": key}
            answers.append(await http.request(method, path, headers=own, **more))
            return answers[-1]

        one = message(receiver_url, NUMBER)
        batch = {"messages": [message(receiver_url, OTHER), {"campaign": "login-otp", "otp_code": CODE}]}
        sent = [(await ask("POST", "/v1/messages", HIDDEN["Key"], json=one)).json() for _ in range(2)]
        both = [await ask("POST", "/v1/messages/batch", HIDDEN["BatchKey"], json=batch) for _ in range(2)]
        ids = [sent[0]["id"], both[0].json()["results"][0]["message"]["id"]]
        await ask("POST", "/v1/messages", HIDDEN["Key"], json={**one, "otp_code": "000001"})
        await ask("POST", "/v1/messages", json={**one, "otp_code": f"{CODE}0", "campaign": CODE})
        await ask("POST", "/v1/messages", content=f'{{"otp_code": "{CODE}", '.encode())
        ended = await asyncio.gather(*(ask("GET", f"/v1/messages/{one}?wait=20") for one in ids))
        for query in (
            {"phone_number": NUMBER},
            {"phone_number": "0901 234 567"},
            {"reference": HIDDEN["Reference"]},
            {"access_token": HIDDEN["Query"], "phone_number": NUMBER},
        ):
            await ask("GET", "/v1/messages", params=query)
        await ask("GET", "/v1/events")
        await ask("GET", "/v1/callbacks?state=delivered")
        metrics = [
            (await http.get(url)).content for url in ("/metrics", f"http://127.0.0.1:{worker_port}/metrics")
        ]
    return Ran(answers, metrics, {one.json()["id"]: one.json()["state"] for one in ended})
