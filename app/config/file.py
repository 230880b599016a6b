"""relay.toml from a file or a text: read once, all faults told at once.

Reads the file, the environment and the secret files that the configuration names; connects to nothing. What was read
is remembered beside the configuration, so that it can be told whether it has changed.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.config.fault import ConfigError, Fault
from app.config.model import Config
from app.config.secret_value import SecretReader
from app.config.table import Faults
from app.config.whole import read_whole

_PLACE = re.compile(r" \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)$")


@dataclass(frozen=True, slots=True, repr=False)
class Loaded:
    """A configuration and what it was read from. The text may hold secrets: it is kept to be read again."""

    config: Config
    path: Path
    text: str
    secret_files: Mapping[Path, bytes]
    """Each `{ file = … }` with the digest of what stood there; compare with `digests_of`."""

    def from_disk(self) -> Loaded:
        """The same file as it is now. Raises `ConfigError`."""
        return load(self.path)

    def with_secrets_from_disk(self) -> Loaded:
        """The same text with its secret files as they are now: an edit of the file itself may be half done."""
        return _loaded(self.path, self.text, os.environ)


def load(path: Path, env: Mapping[str, str] | None = None) -> Loaded:
    """As `load_config`, with what is needed to take up changes later."""
    return _loaded(path, _text_of(path), os.environ if env is None else env)


def load_config(path: Path, env: Mapping[str, str] | None = None) -> Config:
    """The configuration in the file at `path`, secrets and overrides from `env` (default: the process's).

    Raises `ConfigError` with every fault of the file.
    """
    return load(path, env).config


def parse_config(text: str, *, file: str, env: Mapping[str, str] | None = None) -> Config:
    """As `load_config`, for a text; `file` names it in faults, and relative paths start from its folder."""
    return _loaded(Path(file), text, os.environ if env is None else env).config


def _loaded(path: Path, text: str, env: Mapping[str, str]) -> Loaded:
    faults = Faults(str(path))
    secrets = SecretReader(env, path.parent)
    config = read_whole(_document_of(text, str(path)), faults, secrets)
    if faults.found:
        raise ConfigError(tuple(faults.found))
    return Loaded(config, path, text, secrets.files)


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
