"""Options that several commands share, and the reading of the configuration they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.fault import CommandFault

if TYPE_CHECKING:
    from app.config import Config, Loaded

PORT = click.IntRange(0, 65_535)

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    envvar="RELAY_CONFIG",
    show_envvar=True,
    metavar="FILE",
    help="The relay.toml to use.",
)


def read_config(config_file: Path | None) -> Config:
    """The configuration in the file. `CommandFault` with all its faults, or if no file was named."""
    return read_loaded(config_file).config


def read_loaded(config_file: Path | None) -> Loaded:
    """As `read_config`, with what it was read from, to be read again when it changes."""
    from app.config import ConfigError, load

    if config_file is None:
        raise CommandFault("no configuration: name one with --config relay.toml, or set RELAY_CONFIG")
    try:
        return load(config_file)
    except ConfigError as error:
        raise CommandFault(str(error)) from None


def start_logging() -> None:
    """Sets up this process's logs. `CommandFault` if RELAY_LOG_FORMAT or RELAY_LOG_LEVEL is not understood."""
    from app.telemetry.logs import configure_logging

    try:
        configure_logging()
    except ValueError as error:
        raise CommandFault(str(error)) from None
