"""deploy/base: what Kubernetes would take, and what the program behind it needs."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import kubernetes_validate
import pytest

from app.config import load_config
from app.serve import DRAIN_S, GRACE_S
from tests.deploy.manifests import (
    BASE,
    KUBECTL,
    ROOT,
    Manifest,
    container_of,
    kustomization,
    named,
    pod_of,
    rendered,
    written,
)

SCHEMA = kubernetes_validate.latest_version()
SECRETS = "/run/secrets/otp-relay"
ROLES = ("api", "worker")


def deployment(role: str) -> Manifest:
    return named(written())[f"Deployment/otp-relay-{role}"]


@pytest.mark.parametrize("name", named(written()))
def test_each_manifest_is_what_the_schema_of_kubernetes_asks(name: str) -> None:
    kubernetes_validate.validate(named(written())[name], SCHEMA, strict=True)


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not here")
def test_what_kustomize_renders_is_what_the_schema_asks_and_refers_to_what_is_there() -> None:
    found = named(rendered())
    for manifest in found.values():
        kubernetes_validate.validate(manifest, SCHEMA, strict=True)
    for role in ROLES:
        volumes = {
            volume["name"]: volume for volume in pod_of(found[f"Deployment/otp-relay-{role}"])["volumes"]
        }
        assert f"ConfigMap/{volumes['config']['configMap']['name']}" in found


def test_every_file_of_the_base_is_listed() -> None:
    listed = {*kustomization()["resources"], "kustomization.yaml", "relay.toml"}
    assert {path.name for path in BASE.iterdir()} == listed


def test_each_selector_finds_the_pods_it_is_meant_for() -> None:
    found = named(written())
    for role in ROLES:
        labels = deployment(role)["spec"]["template"]["metadata"]["labels"].items()
        assert deployment(role)["spec"]["selector"]["matchLabels"].items() <= labels
        budget = found[f"PodDisruptionBudget/otp-relay-{role}"]["spec"]["selector"]["matchLabels"]
        assert budget.items() <= labels
        [spread] = pod_of(deployment(role))["topologySpreadConstraints"]
        assert spread["labelSelector"]["matchLabels"].items() <= labels
        assert (
            pod_of(deployment(role))["serviceAccountName"]
            == found["ServiceAccount/otp-relay"]["metadata"]["name"]
        )
    service = found["Service/otp-relay"]["spec"]["selector"].items()
    assert service <= deployment("api")["spec"]["template"]["metadata"]["labels"].items()
    assert not service <= deployment("worker")["spec"]["template"]["metadata"]["labels"].items()


def config_of_the_base(tmp_path: Path) -> Path:
    """relay.toml of the ConfigMap, with secrets of this test's own where the Secret would be mounted."""
    text = (BASE / "relay.toml").read_text()
    secret = base64.b64encode(bytes(32)).decode()
    for name in re.findall(rf"{SECRETS}/([a-z-]+)", text):
        (tmp_path / name).write_text(f"whsec_{secret}" if "webhook" in name else secret)
    file = tmp_path / "relay.toml"
    file.write_text(text.replace(SECRETS, str(tmp_path)))
    return file


def test_the_config_map_is_a_configuration_that_loads_and_whose_ports_are_probed(tmp_path: Path) -> None:
    config = load_config(config_of_the_base(tmp_path), env={})
    ports = {"api": config.server.port, "worker": config.worker.port}
    for role in ROLES:
        container = container_of(deployment(role))
        assert [(port["name"], port["containerPort"]) for port in container["ports"]] == [
            ("http", ports[role])
        ]
        for probe, path in {
            "startupProbe": "/livez",
            "livenessProbe": "/livez",
            "readinessProbe": "/readyz",
        }.items():
            assert container[probe]["httpGet"] == {"path": path, "port": "http"}
    [service_port] = named(written())["Service/otp-relay"]["spec"]["ports"]
    assert service_port["targetPort"] == "http"


@pytest.mark.parametrize("role", ROLES)
def test_what_the_container_is_told_is_mounted(role: str) -> None:
    container = container_of(deployment(role))
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert container["args"] == [role, "--config", "/etc/otp-relay/relay.toml"]
    assert mounts == {"/etc/otp-relay": "config", SECRETS: "secrets", "/tmp": "tmp"}
    assert {volume["name"] for volume in pod_of(deployment(role))["volumes"]} == set(mounts.values())


@pytest.mark.parametrize("role", ROLES)
def test_every_environment_variable_is_one_that_the_program_reads(role: str) -> None:
    sources = "\n".join(
        path.read_text() for part in ("app", "workers") for path in (ROOT / part).rglob("*.py")
    )
    for variable in container_of(deployment(role))["env"]:
        assert f'"{variable["name"]}"' in sources


def test_every_secret_of_the_base_is_named_in_its_notes() -> None:
    notes = (BASE / "kustomization.yaml").read_text()
    for name in re.findall(rf"{SECRETS}/([a-z-]+)", (BASE / "relay.toml").read_text()):
        assert name in notes
    assert not any(manifest["kind"] == "Secret" for manifest in written())


@pytest.mark.parametrize("role", ROLES)
def test_pods_meet_the_restricted_standard(role: str) -> None:
    pod, container = pod_of(deployment(role)), container_of(deployment(role))
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_a_deploy_leaves_time_for_what_is_in_hand(tmp_path: Path) -> None:
    config = load_config(config_of_the_base(tmp_path), env={})
    longest = max(
        config.callbacks.timeout, *(account.timeout for account in config.accounts.values())
    ).total_seconds()
    assert pod_of(deployment("worker"))["terminationGracePeriodSeconds"] >= 2 * longest
    assert pod_of(deployment("api"))["terminationGracePeriodSeconds"] > 5 + DRAIN_S + GRACE_S
