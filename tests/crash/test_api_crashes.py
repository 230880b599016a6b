"""An API killed at each point between two of its effects: what is asked again under its key is taken once."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.crash.acts import Played
from tests.crash.crashes import crashes
from tests.crash.point import Crash, recorded
from tests.crash.points import changes, every_point
from tests.crash.scene import API_KEY, Scene
from tests.store.tidy import faults_of

Answers = list[httpx.Response]

_FIRST = {"campaign": "login-otp", "phone_number": "0901234567", "otp_code": "004217"}
_BATCH = [{**_FIRST, "phone_number": number} for number in ("0901234568", "no number", "0901234569")]
_ASKED = [
    ("/v1/messages", {**_FIRST}, "first"),
    ("/v1/messages/batch", {"messages": _BATCH}, "all of them"),
]
_TAKEN = 3


class Caller:
    """A client that asks again under the same key when its connection broke, as its own code would."""

    def __init__(self, scene: Scene, url: str | None) -> None:
        self.scene = scene
        self.url = url
        self.crashes = 0

    async def ask_all(self) -> Answers:
        sent = [await self._ask("POST", path, body, key) for path, body, key in _ASKED]
        return [*sent, await self._ask("DELETE", f"/v1/messages/{sent[0].json()['id']}", None, None)]

    async def _ask(self, method: str, path: str, body: object, key: str | None) -> httpx.Response:
        headers = {"authorization": f"Bearer {API_KEY.decode()}", **({"idempotency-key": key} if key else {})}
        while True:
            try:
                if self.url is not None:
                    async with httpx.AsyncClient(base_url=self.url, headers=headers) as client:
                        return await client.request(method, path, json=body)
            except httpx.TransportError:
                pass
            self.crashes += 1
            assert self.crashes == 1
            _, self.url = await self.scene.start_api()


async def crash_and_ask_again(scene: Scene, crash: Crash) -> Played:
    """A client's requests, of which the API's death at the point cuts one short."""
    api, url = await scene.start_api(crash.at)
    caller = Caller(scene, url)
    first = await caller.ask_all()
    if not caller.crashes:
        await api.kill()
        return Played(False, [])
    again = await caller.ask_all()
    found = [f"{one.request.url} gave {one.status_code}" for one in first + again if not one.is_success]
    found += [
        f"{one.request.url} gave two answers"
        for one, other in zip(first, again, strict=True)
        if one.text != other.text
    ]
    batch = first[1].json()
    if (batch["accepted"], batch["rejected"]) != (2, 1):
        found.append(f"of the batch {batch['accepted']} were accepted")
    database = scene.rig.database
    records = await database.read("KEYS", database.key("m", "*"))
    if len(records) != _TAKEN:
        found.append(f"{len(records)} messages were taken, not {_TAKEN}")
    return Played(True, found + await faults_of(database.client))


@pytest.mark.timeout(120)
async def test_an_api_killed_at_any_point_takes_what_is_asked_again_once(tmp_path: Path) -> None:
    async with crashes(tmp_path, at_once=4) as stages:
        async with stages.scene() as scene:
            api, url = await scene.start_api(effects=True)
            await Caller(scene, url).ask_all()
            await api.kill()
        effects = recorded(scene.folder / "effects-1")
        planned = [Crash(one) for one in every_point(effects) if one.nth == 1 and changes(one.name)]
        assert {"redis accept", "redis batch_key", "redis cancel"} <= {crash.at.name for crash in planned}
        results = [result async for result in stages.play_all(planned, crash_and_ask_again)]
    assert [str(result) for result in results if result.played.violations] == []
    print(f"{len(planned)} crash points of the API, {sum(one.played.reached for one in results)} reached")
    assert [
        str(one) for one in results if not one.played.reached and "index-secret" not in one.crash.at.name
    ] == []
