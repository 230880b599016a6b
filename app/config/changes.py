"""What differs between two configurations, by key and never by value; and what a running process cannot take up.

Compares, and decides nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.config.model import Config

_WRITTEN_AS = {"accounts": "provider.accounts"}


def changed_keys(old: Config, new: Config) -> list[str]:
    """The dotted keys that differ, as the file has them; a section that came or went by its name alone."""
    return list(_differences(old, new, ""))


def without_what_needs_a_restart(old: Config, new: Config) -> tuple[Config, list[str]]:
    """The new one with the listening addresses and the Redis of the old; and which keys of it that left out."""
    kept = replace(new, server=old.server, worker=old.worker, redis=old.redis)
    return kept, changed_keys(kept, new)


def _differences(old: object, new: object, path: str) -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return _of_sections(old, new, path)
    if is_dataclass(old) and is_dataclass(new) and _is_a_section(path):
        found: list[str] = []
        for each in fields(old):
            name = _WRITTEN_AS.get(each.name, each.name)
            at = f"{path}.{name}" if path else name
            found += _differences(getattr(old, each.name), getattr(new, each.name), at)
        return found
    return [] if old == new else [path]


def _of_sections(old: Mapping[str, object], new: Mapping[str, object], path: str) -> list[str]:
    found: list[str] = []
    for name in dict.fromkeys([*old, *new]):
        at = f"{path}.{name}"
        found += _differences(old[name], new[name], at) if name in old and name in new else [at]
    return found


def _is_a_section(path: str) -> bool:
    """Whether a dataclass stands for a table there, and not for one value, such as a rate."""
    return path.count(".") <= 2 and not path.endswith((".rate_limit", ".per_number_limit"))
