"""A client of one sandbox under test: the provider's four calls and the control interface, in few words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx

OTP = "sandbox-login-otp"
NOTICE = "sandbox-order-notice"
PATIENCE_S = 8

Json = dict[str, Any]


def contact(number: str, code: str | None = "004217", **variables: str) -> Json:
    return {"phone_number": number, **({"otp_code": code} if code else {}), **variables}


class Desk:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.token = ""

    async def make_token(self, secret_key: str = "sandbox-secret") -> Json:
        answer = await self.http.get("/api/users/generate-access-token", params={"secret_key": secret_key})
        body: Json = answer.json()
        if body["status"] == 1:
            self.token = body["results"]["access_token"]
        return body

    async def send(self, *contacts: Json, campaign: str = OTP) -> httpx.Response:
        if not self.token:
            await self.make_token()
        body = {"access_token": self.token, "contacts": list(contacts)}
        return await self.http.post(f"/api/campaigns/{campaign}/import", json=body)

    async def taken(self, *contacts: Json, campaign: str = OTP) -> list[str]:
        """The numbers that an import's results list."""
        body = (await self.send(*contacts, campaign=campaign)).json()
        return [result["phone_number"] for result in body["results"]]

    async def export(self, campaign: str = OTP, **query: int) -> Json:
        if not self.token:
            await self.make_token()
        answer = await self.http.get(
            f"/api/campaigns/{campaign}/export", params={"access_token": self.token, "limit": 1000, **query}
        )
        body: Json = answer.json()
        return body

    async def rows(self, campaign: str = OTP, **query: int) -> list[Json]:
        rows: list[Json] = (await self.export(campaign, **query))["results"]["calls"]
        return rows

    async def rows_when(self, come: Callable[[list[Json]], bool], campaign: str = OTP) -> list[Json]:
        """The export's rows as soon as they are as wanted."""
        deadline = time.monotonic() + PATIENCE_S
        while not come(rows := await self.rows(campaign)):
            assert time.monotonic() < deadline, rows
            await asyncio.sleep(0.02)
        return rows

    async def ended(self, count: int = 1, campaign: str = OTP) -> list[Json]:
        """The rows once that many calls have ended."""
        return await self.rows_when(
            lambda rows: sum(row["state"] in (40, 50) for row in rows) >= count, campaign
        )

    async def fault(self, name: str, **params: object) -> None:
        answer = await self.http.put(f"/sandbox/faults/{name}", json=params)
        assert answer.status_code == 200, answer.text

    async def state(self) -> Json:
        state: Json = (await self.http.get("/sandbox/state")).json()
        return state

    async def state_when(self, comes: Callable[[Json], bool]) -> Json:
        """The state as soon as it is as wanted."""
        deadline = time.monotonic() + PATIENCE_S
        while not comes(state := await self.state()):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        return state
