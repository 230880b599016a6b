"""The group of all commands, and how each of them ends: exit codes, and one line instead of a traceback.

A command gives its exit code, or None for 0.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

USAGE = 2
INTERRUPTED = 130
CLOSED_PIPE = 1
"""As click has it for what it writes itself."""

_MODULES = {
    "dev": "app.cli.dev.command",
    "api": "app.cli.services",
    "worker": "app.cli.services",
    "sandbox": "app.cli.services",
    "check": "app.cli.check",
    "send": "app.cli.send",
    "show": "app.cli.show",
    "listen": "app.cli.listen",
    "keygen": "app.cli.keygen",
}
"""Where each command is, in the order that the help lists them."""


class _Commands(click.Group):
    """Imports a command's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _MODULES.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(importlib.import_module(module), cmd_name)
        return command


@click.group(cls=_Commands, invoke_without_command=True, context_settings={"max_content_width": 100})
@click.version_option(package_name="otp-relay", prog_name="otp-relay")
@click.pass_context
def otp_relay(ctx: click.Context) -> None:
    """Rings a phone with a one-time code, one POST at a time.

    Start with `otp-relay dev`: everything in one, nothing to configure.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run one command line; gives the exit code."""
    try:
        code = otp_relay.main(list(args), prog_name="otp-relay", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        return _told(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        _close_quietly()
        return CLOSED_PIPE
    except Exception as error:
        if os.environ.get("RELAY_LOG_LEVEL", "").upper() == "DEBUG":
            raise
        # The text of an error that nobody foresaw may quote a secret; its kind cannot.
        return _told(f"unexpected {type(error).__name__}; RELAY_LOG_LEVEL=debug shows where")
    return code if isinstance(code, int) else 0


def _told(text: str) -> int:
    click.echo(f"otp-relay: {text}", err=True)
    return 1


def _close_quietly() -> None:
    """Leaves Python nothing to flush into the closed pipe when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
