"""`make sbom`: a CycloneDX document of all that the image's lock names, by version and by hash."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.deploy.manifests import ROOT

LOCK = (ROOT / "requirements" / "runtime.txt").read_text()
PINS = re.findall(
    r"^([a-z0-9._-]+)==(\S+)(?:[^\n\\]*)((?:\s*\\\n\s+--hash=sha256:[0-9a-f]{64})+)", LOCK, re.MULTILINE
)


@pytest.fixture(scope="module")
def document() -> str:
    env = {name: text for name, text in os.environ.items() if not name.startswith("M")}
    made = subprocess.run(
        ["make", "sbom"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=50, check=False
    )
    assert made.returncode == 0, made.stderr
    return (ROOT / made.stdout.split()[-1]).read_text()


def test_it_is_what_the_schema_of_cyclonedx_asks(document: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None


def test_it_holds_each_locked_package_with_its_version_and_every_hash(document: str) -> None:
    assert len(PINS) == len(re.findall(r"^[a-z0-9._-]+==", LOCK, re.MULTILINE)) > 40
    read: dict[str, Any] = json.loads(document)
    held = {
        (component["name"], component["version"]): {
            known["content"]
            for reference in component["externalReferences"]
            for known in reference.get("hashes", [])
            if known["alg"] == "SHA-256"
        }
        for component in read["components"]
    }
    assert held == {
        (name, version): set(re.findall(r"[0-9a-f]{64}", hashes)) for name, version, hashes in PINS
    }
    assert read["metadata"]["component"]["name"] == "otp-relay"
