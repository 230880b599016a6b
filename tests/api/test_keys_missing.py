"""An API that lacks a record's key says so for that record alone; one that lacks the indexes' key does not start."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
import structlog

from app.config import Config
from app.secret import Secret
from app.store.faults import StoreUnfitError
from app.store.opening import KEY_MISSING, open_database
from tests.api.desk import assert_problem, config_of, open_caller, otp
from tests.servers import ValkeyServer

NEW = Secret.of(base64.b64encode(b"n" * 32).decode())


def _sealing_with(config: Config, *keys: Secret) -> Config:
    return replace(config, storage=replace(config.storage, encryption_keys=keys))


async def test_what_was_sealed_with_a_key_that_an_api_lacks_is_a_503_and_the_rest_is_served(
    own_redis: ValkeyServer,
) -> None:
    old = config_of(own_redis.url)
    async with (
        open_caller(old) as behind,
        open_caller(_sealing_with(old, NEW, *old.storage.encryption_keys)) as ahead,
    ):
        mine, sealed_anew = await behind.sent(), (await ahead.post(otp(), key="k")).json()
        with structlog.testing.capture_logs() as logs:
            refused = await behind.get(f"/v1/messages/{sealed_anew['id']}")
            assert_problem(refused, 503, "unavailable")
            assert_problem(await behind.post(otp(), key="k"), 503, "unavailable")
        assert {line["event"].partition(",")[0] for line in logs} == {"record cannot be opened"}
        assert logs[0]["path"].endswith(sealed_anew["id"])
        assert (await behind.get(f"/v1/messages/{mine['id']}")).status_code == 200
        assert (await ahead.get(f"/v1/messages/{mine['id']}")).status_code == 200
        assert (await behind.ask("DELETE", f"/v1/messages/{mine['id']}")).status_code == 200


async def test_without_the_key_of_the_indexes_nothing_starts_and_it_is_said_why(
    own_redis: ValkeyServer,
) -> None:
    config = config_of(own_redis.url)
    await (await open_database(config, wait_s=5)).close()
    with pytest.raises(StoreUnfitError, match="encryption_keys") as refused:
        await open_database(_sealing_with(config, NEW), wait_s=5)
    assert str(refused.value) == KEY_MISSING
