"""`dev`: what is started, with or without a configuration of one's own. Read first."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import click

from app.cli.dev.data_dir import DataDir
from app.cli.dev.keeper import Keeper
from app.cli.dev.part import Part
from app.cli.dev.terminal import Terminal
from app.cli.options import PORT, config_option, read_config

Plan = tuple[Sequence[Sequence[Part]], str]
"""The stages of parts, and the screen to print when all are ready."""


@click.command(epilog="Example: otp-relay dev --port 8090 --data-dir .data2")
@config_option
@click.option("--host", metavar="H", help="Address of the API.  [default: 127.0.0.1, or the file's]")
@click.option("--port", type=PORT, metavar="P", help="Port of the API.  [default: 8080, or the file's]")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".data"),
    show_default=True,
    metavar="DIR",
    help="Where data and logs are kept, for the next start too.",
)
def dev(config_file: Path | None, host: str | None, port: int | None, data_dir: Path) -> int:
    """Everything in one: Redis, API, worker, provider sandbox, callback receiver.

    Needs no configuration; prints a curl to paste, and a line for each callback that was received and verified.
    With --config it runs just what that file says: API and worker, at the file's Redis and provider.
    """
    data = DataDir(data_dir)
    try:
        return asyncio.run(_run(data, config_file, host, port))
    finally:
        data.close()


async def _run(data: DataDir, config_file: Path | None, host: str | None, port: int | None) -> int:
    from app.cli.dev.supervise import Supervisor

    loop = asyncio.get_running_loop()
    keeper = Keeper()
    terminal = Terminal(lambda: os.kill(os.getpid(), signal.SIGTERM))
    supervisor = Supervisor(terminal, data.logs, keeper)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.ask_to_stop)
    try:
        stages, screen = _plan(data, terminal, config_file, host, port)
        return await supervisor.run(stages, lambda: terminal.print(screen))
    finally:
        keeper.close()
        terminal.close(1.0)


def _plan(
    data: DataDir, terminal: Terminal, config_file: Path | None, host: str | None, port: int | None
) -> Plan:
    from app.cli.dev.plan import as_the_file_says, with_all_of_its_own

    if config_file is None:
        return with_all_of_its_own(data, terminal, host or "127.0.0.1", 8080 if port is None else port)
    return as_the_file_says(data, terminal, config_file.resolve(), read_config(config_file), host, port)
