"""What a command cannot do, told in one line with what to do next."""

from __future__ import annotations

import click


class CommandFault(click.ClickException):
    """Ends the command with exit code 1; the text stands on stderr behind `otp-relay: `."""
