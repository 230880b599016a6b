"""Senders and a destination for the tests of callbacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver

from app.callbacks.delivery import CallbackSender
from app.config import CallbacksConfig
from tests.callbacks.destination import Destination, listening


@pytest.fixture
async def destination() -> AsyncIterator[Destination]:
    async with listening(Destination()) as running:
        yield running


MakeSender = Callable[..., CallbackSender]


@pytest.fixture
async def make_sender() -> AsyncIterator[MakeSender]:
    async with AsyncExitStack() as open_senders:

        def make(
            *, resolver: AbstractResolver | None = None, timeout_s: float = 5, ca_file: Path | None = None
        ) -> CallbackSender:
            config = CallbacksConfig(
                timeout=timedelta(seconds=timeout_s),
                retry_schedule=(timedelta(seconds=1),),
                concurrency_per_destination=4,
                ca_file=ca_file,
            )
            sender = CallbackSender(config, resolver=resolver)
            open_senders.push_async_callback(sender.close)
            return sender

        yield make
