"""What a worker gives back when it goes: wake-ups, and leases."""

from __future__ import annotations

import pytest

from tests.store.desk import Desk

SCRIPTS = ("wake_again",)


async def test_a_wake_up_is_given_again_whatever_became_of_the_last_and_never_twice(desk: Desk) -> None:
    await desk.accept()
    key = desk.db.key("wake")
    assert await desk.db.read("LPOP", key) == b"login-otp"
    for _ in range(3):
        await desk.db.run("wake_again", "login-otp")
    assert await desk.db.read("LRANGE", key, 0, -1) == [b"login-otp"]


@pytest.mark.parametrize(("sending", "fate", "state"), (
    (False, "requeued", "queued"), (True, "ambiguous", "submitting"),
))  # fmt: skip
async def test_a_batch_that_was_let_go_is_judged_by_the_next_sweep(
    desk: Desk, sending: bool, fate: str, state: str
) -> None:
    message_id = await desk.accept()
    batch = await (desk.sending() if sending else desk.lease())
    await desk.batches.let_go(batch)
    assert await desk.batches.recover(most=10) == [(batch.batch_id, "login-otp", fate, 1)]
    assert (await desk.state(message_id))[0] == state
    await desk.batches.let_go(batch)
    assert await desk.names("leases") == []
