"""relay.toml from a file or a text: read once, all faults told at once.

Reads the file, the environment and the secret files that the configuration names; connects to nothing.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from app.config.fault import ConfigError, Fault
from app.config.model import Config
from app.config.secret_value import SecretReader
from app.config.table import Faults
from app.config.whole import read_whole

_PLACE = re.compile(r" \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)$")


def load_config(path: Path, env: Mapping[str, str] | None = None) -> Config:
    """The configuration in the file at `path`, secrets and overrides from `env` (default: the process's).

    Raises `ConfigError` with every fault of the file.
    """
    return parse_config(_text_of(path), file=str(path), env=env)


def parse_config(text: str, *, file: str, env: Mapping[str, str] | None = None) -> Config:
    """As `load_config`, for a text; `file` names it in faults, and relative paths start from its folder."""
    faults = Faults(file)
    secrets = SecretReader(os.environ if env is None else env, Path(file).parent)
    config = read_whole(_document_of(text, file), faults, secrets)
    if faults.found:
        raise ConfigError(tuple(faults.found))
    return config


def _text_of(path: Path) -> str:
    expected = "a readable TOML file in UTF-8"
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        found = f"bytes that are not UTF-8 at offset {fault.start}"
    except OSError as fault:
        found = f"none: {(fault.strerror or type(fault).__name__).lower()}"
    raise ConfigError((Fault(str(path), "", found, expected),))


def _document_of(text: str, file: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as fault:
        syntax = _syntax_fault(str(fault), text, file)
    raise ConfigError((syntax,))


def _syntax_fault(said: str, text: str, file: str) -> Fault:
    place = _PLACE.search(said)
    what = _PLACE.sub("", said)
    if place is not None and place[1]:
        line, column = int(place[1]), int(place[2])
    else:
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
    return Fault(file, f"line {line}, column {column}", f"a fault of syntax: {what}", "valid TOML")
