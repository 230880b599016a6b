"""Tells whether the lock files are those of pyproject.toml, without asking an index.

Reads what the locks say of themselves: their pins, and which of those are there because pyproject.toml names them.
Changes nothing; `make lock` does.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PIN = re.compile(r"^(?P<name>[a-z0-9._-]+)==(?P<version>[^\s;]+)(?P<rest>.*(?:\n    .*)*)", re.MULTILINE)
OWN = re.compile(r"otp-relay.* \(pyproject\.toml")
FOREIGN = re.compile(r"^(?:-|.*(?:://| @ ))", re.MULTILINE)


def declared(project: dict[str, Any], lock: str) -> list[Requirement]:
    """What pyproject.toml asks of one lock, with the extras that it names of itself spelt out."""
    if lock == "build":
        return [Requirement(text) for text in project["dependency-groups"]["build"]]
    wanted = list(project["project"]["dependencies"])
    extras = project["project"]["optional-dependencies"]
    for extra in {"runtime": [], "dev": ["dev"], "test": ["dev", "test"]}[lock]:
        wanted += [text for text in extras[extra] if not text.startswith("otp-relay[")]
    return [Requirement(text) for text in wanted]


def faults_of_lock(project: dict[str, Any], name: str, text: str) -> Iterator[str]:
    """Every way in which one lock is not what `make lock` would give."""
    pins = {pin["name"]: pin for pin in PIN.finditer(text)}
    asked = {canonicalize_name(requirement.name): requirement for requirement in declared(project, name)}
    if FOREIGN.search(text):
        yield "names an index, an option or a URL"
    for package, pin in pins.items():
        if "--hash=sha256:" not in pin["rest"]:
            yield f"{package} has no hash"
        if OWN.search(pin["rest"]) and package not in asked:
            yield f"{package} is no longer asked for"
    for package, requirement in asked.items():
        if package not in pins:
            yield f"{requirement} is missing"
        elif pins[package]["version"] not in requirement.specifier:
            yield f"{package} {pins[package]['version']} is not {requirement}"


def disagreements(locks: dict[str, str]) -> Iterator[str]:
    """Packages that two locks pin to two versions: what is tested must be what is shipped."""
    seen: dict[str, str] = {}
    for name, text in locks.items():
        for pin in PIN.finditer(text):
            version = seen.setdefault(pin["name"], pin["version"])
            if version != pin["version"]:
                yield f"{name}.txt: {pin['name']} is {pin['version']}, elsewhere {version}"


def faults(root: Path) -> list[str]:
    """All faults of the locks under `root`, one line each."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    locks = {
        name: (root / "requirements" / f"{name}.txt").read_text()
        for name in ("runtime", "dev", "test", "build")
    }
    own = [
        f"{name}.txt: {fault}"
        for name, text in locks.items()
        for fault in faults_of_lock(project, name, text)
    ]
    return own + list(disagreements(locks))


if __name__ == "__main__":
    found = faults(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
    if found:
        sys.exit("\n".join([*found, "run `make lock`, and commit what it changes"]))
