"""The one screen that `dev` prints when all is ready."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

EXAMPLE = {"campaign": "login-otp", "phone_number": "0901234567", "otp_code": "004217"}
"""A call that the sandbox answers."""


def own_screen(*, api_url: str, sandbox_url: str, key: str, data: Path) -> str:
    """What runs where, and the `curl` to paste, on a line of its own."""
    return f"""
otp-relay is ready. Ctrl-C stops all of it; a later start finds its data again.

  API      {api_url}/docs
  sandbox  {sandbox_url}/   the provider's stand-in: no phone rings; numbers with set outcomes
  key      {key}
  data     {data}   logs are in {data.name}/logs

Send a code (paste this); its callback is printed below within seconds:

{curl(api_url, key)}
"""


def plain_screen(*, api_url: str, config_file: Path, data: Path) -> str:
    """What runs where with a configuration of one's own."""
    return f"""
otp-relay is ready, as {config_file} says. Ctrl-C stops it.

  API      {api_url}/docs
  worker   one
  logs     {data / "logs"}
"""


def curl(api_url: str, key: str) -> str:
    """One line for a shell."""
    words = ["curl", "-sS", f"{api_url}/v1/messages", "-H", f"Authorization: Bearer {key}"]
    words += ["-H", "Content-Type: application/json", "-d", json.dumps(EXAMPLE)]
    return shlex.join(words)
