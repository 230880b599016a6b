"""The `otp-relay` command: what a person does at a terminal, and the entry points of the processes.

Each command's module imports the heavy parts inside the command, so that `--help` is quick.
"""

from app.cli.entry import main

__all__ = ["main"]
