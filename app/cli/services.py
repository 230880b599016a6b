"""`api`, `worker`, `sandbox`: one process of the relay each, in the foreground, until a signal ends it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from app.cli.options import PORT, config_option, read_loaded, start_logging


@click.command(epilog="Example: otp-relay api --config relay.toml --port 8080")
@config_option
@click.option("--host", metavar="H", help="Address to listen on.  [default: [server] host]")
@click.option("--port", type=PORT, metavar="P", help="Port to listen on.  [default: [server] port]")
def api(config_file: Path | None, host: str | None, port: int | None) -> int:
    """The HTTP service alone."""
    start_logging()
    loaded = read_loaded(config_file)
    config = loaded.config
    from app.serve import run_api

    # `litestar run`, granian's workers and whatever else reads the environment see the same file.
    os.environ["RELAY_CONFIG"] = str(config_file)
    where = (host or config.server.host, config.server.port if port is None else port)
    return run_api(config, *where, loaded=loaded)


@click.command(epilog="Example: otp-relay worker --config relay.toml")
@config_option
def worker(config_file: Path | None) -> int:
    """The arq worker alone; any number may run."""
    start_logging()
    loaded = read_loaded(config_file)
    from workers.settings import run_worker

    return run_worker(loaded.config, loaded)


@click.command(epilog="Example: otp-relay sandbox --port 8081")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="H", help="Address to listen on.")
@click.option("--port", type=PORT, default=8081, show_default=True, metavar="P", help="Port to listen on.")
@click.option(
    "--state-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keeps calls, campaigns and tokens over a restart.",
)
def sandbox(host: str, port: int, state_file: Path | None) -> int:
    """The provider stand-in alone: it rings no phone, and its page lists the numbers with set outcomes.

    Its secret_key is `sandbox-secret`; its campaigns are `sandbox-login-otp` and `sandbox-order-notice`.
    """
    start_logging()
    from app.sandbox.main import SandboxSettings, run_sandbox

    return run_sandbox(SandboxSettings(state_file=state_file), host, port)
