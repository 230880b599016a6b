"""The two plans of `dev`: all of its own, or just what a file says."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.dev.data_dir import DataDir
from app.cli.dev.own_config import OwnConfig
from app.cli.dev.part import Part
from app.cli.dev.parts import PartMaker
from app.cli.dev.redis_server import redis_part
from app.cli.dev.screen import own_screen, plain_screen
from app.cli.dev.terminal import Terminal
from app.cli.fault import CommandFault
from app.cli.keygen import digest_of, new_api_key, new_encryption_key
from app.cli.ports import PortTakenError, bound, first_free, http_url, port_of

if TYPE_CHECKING:
    from app.config import Config

_NEAR = {"sandbox": 8081, "receiver": 8082, "worker": 9100}
"""Where the other parts listen unless that is taken, or was another port at the last start."""


def with_all_of_its_own(
    data: DataDir, terminal: Terminal, host: str, api_port: int
) -> tuple[Sequence[Sequence[Part]], str]:
    """Redis, sandbox, receiver, worker and API, under a configuration written now."""
    from app.callbacks.signing import generate_secret

    key, _ = data.kept("api-key", new_api_key)
    signing_secret, _ = data.kept("signing-secret", generate_secret)
    data.kept("encryption-key", new_encryption_key)
    ports = _choose_ports(data, host, api_port)
    redis_socket = None if os.environ.get("RELAY_REDIS_URL") else data.socket()
    own = OwnConfig(
        host=host,
        api_port=ports["api"],
        worker_port=ports["worker"],
        sandbox_url=http_url("127.0.0.1", ports["sandbox"]),
        callback_url=f"{http_url('127.0.0.1', ports['receiver'])}/callbacks",
        key_digest=digest_of(key),
        redis_socket=redis_socket,
    )
    data.write_private(data.config_file, own.text())
    make = PartMaker(terminal)
    api_url = http_url(host, ports["api"])
    stages = [
        [redis_part(data.redis, redis_socket)] if redis_socket else [],
        [
            make.sandbox(ports["sandbox"], data.sandbox_state),
            make.receiver(ports["receiver"], signing_secret),
            make.worker(data.config_file, ports["worker"]),
            make.api(data.config_file, host, ports["api"], api_url),
        ],
    ]
    screen = own_screen(api_url=api_url, sandbox_url=own.sandbox_url, key=key, data=data.path)
    return stages, screen


def as_the_file_says(
    data: DataDir, terminal: Terminal, config_file: Path, config: Config, host: str | None, port: int | None
) -> tuple[Sequence[Sequence[Part]], str]:
    """API and worker alone, at the file's Redis and provider."""
    host = host or config.server.host
    with ExitStack() as held:
        api = _held(held, _for_the_api(host, config.server.port if port is None else port))
        # Where the file's port is taken, whatever is there would be asked instead of this worker.
        wanted = [config.worker.port] if config.worker.port else []
        worker_port = _held(held, first_free("", wanted))
    data.say_who(api)
    make = PartMaker(terminal)
    api_url = http_url(host, api)
    stages = [[make.worker(config_file, worker_port), make.api(config_file, host, api, api_url)]]
    return stages, plain_screen(api_url=api_url, config_file=config_file, data=data.path)


def _choose_ports(data: DataDir, host: str, api_port: int) -> dict[str, int]:
    """A port for each part. They are held together, so that they differ, and let go for the parts to take."""
    last = data.last_ports()
    with ExitStack() as held:
        ports = {"api": _held(held, _for_the_api(host, api_port))}
        for name, near in _NEAR.items():
            wanted = [port for port in (last.get(name), near if api_port else None) if port]
            ports[name] = _held(held, first_free("" if name == "worker" else "127.0.0.1", wanted))
    data.remember_ports(ports)
    data.say_who(ports["api"])
    return ports


def _for_the_api(host: str, port: int) -> socket.socket:
    try:
        return bound(host, port)
    except PortTakenError as error:
        raise CommandFault(
            f"{error}, perhaps by another otp-relay dev; stop it, or choose another: "
            f'otp-relay dev --port {port + 10} (or make run ARGS="--port {port + 10}")'
        ) from None
    except OSError:
        raise CommandFault(f"{host} is no address of this machine: otp-relay dev --host 127.0.0.1") from None


def _held(held: ExitStack, listener: socket.socket) -> int:
    held.callback(listener.close)
    return port_of(listener)
