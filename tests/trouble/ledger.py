"""The books at the end: what callers were told, against what Redis holds, who was called, and who was told of it."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx

from tests.trouble.load import Caller, Post
from tests.trouble.stage import API_KEY, Stage

_SETTLED_WITHIN_S = 60
EXPECTED = {"202", "unavailable", "outcome-unknown"}


async def balance(stage: Stage, caller: Caller, api_url: str) -> Counter[str]:
    """Nothing lost, nobody called twice, each refusal of the right kind. How many answers of each kind there were.

    `unavailable`: the message is nowhere and nobody was called. `outcome-unknown`: its `id` tells which it was.
    """
    kinds = Counter(post.kind for post in caller.posts)
    assert set(kinds) <= EXPECTED, kinds
    refused = [post for post in caller.posts if post.kind != "202"]
    assert {post.retry_after for post in refused} <= {"1"}
    unknown = caller.of("outcome-unknown")
    taken = [*caller.of("202"), *await _those_taken(unknown, api_url)]
    await stage.receiver.wait_for(len(taken), _SETTLED_WITHIN_S)
    told = {body["data"]["id"]: body["type"] for _, body in stage.receiver.got}
    assert told == dict.fromkeys((post.message["id"] for post in taken), "message.answered")
    assert await stage.calls() == dict.fromkeys((post.number for post in taken), 1)
    await stage.tidy()
    return kinds


async def _those_taken(unknown: list[Post], api_url: str) -> list[Post]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with httpx.AsyncClient(base_url=api_url, headers=headers, trust_env=False) as http:
        answers = await asyncio.gather(*(http.get(f"/v1/messages/{post.message['id']}") for post in unknown))
    assert {answer.status_code for answer in answers} <= {200, 404}
    return [post for post, answer in zip(unknown, answers, strict=True) if answer.status_code == 200]
