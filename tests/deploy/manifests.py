"""The manifests of deploy/base, parsed: as they stand in the files, and as kubectl renders them where it is at hand."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, TypeAlias

import yaml

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "deploy" / "base"
KUBECTL = shutil.which("kubectl")

Manifest: TypeAlias = dict[str, Any]


def kustomization() -> Manifest:
    """What says which files make up the base."""
    read: Manifest = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    return read


def written() -> list[Manifest]:
    """Every manifest that the kustomization lists."""
    files = kustomization()["resources"]
    return [found for file in files for found in yaml.safe_load_all((BASE / file).read_text())]


def rendered() -> list[Manifest]:
    """What would be applied. Renders here, and asks no cluster."""
    assert KUBECTL is not None
    shown = subprocess.run(
        [KUBECTL, "kustomize", BASE], capture_output=True, check=True, text=True, timeout=30
    )
    return list(yaml.safe_load_all(shown.stdout))


def named(manifests: list[Manifest]) -> dict[str, Manifest]:
    """By `Kind/name`."""
    return {f"{found['kind']}/{found['metadata']['name']}": found for found in manifests}


def pod_of(deployment: Manifest) -> Manifest:
    """A Deployment's pod specification."""
    spec: Manifest = deployment["spec"]["template"]["spec"]
    return spec


def container_of(deployment: Manifest) -> Manifest:
    """A Deployment's one container."""
    [container] = pod_of(deployment)["containers"]
    found: Manifest = container
    return found
