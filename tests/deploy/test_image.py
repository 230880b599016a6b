"""The image: what its Dockerfile promises, and that what is in it suffices to run."""

from __future__ import annotations

import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.deploy.dockerfile import Stage, stages_of
from tests.deploy.manifests import ROOT

BUILD, RUNTIME = stages_of(ROOT / "Dockerfile")
HEALTHCHECK = ROOT / "deploy" / "healthcheck.py"

ONLY_THE_RUNTIME_LOCK = """
import importlib, pathlib, pkgutil, re, sys
from importlib.metadata import packages_distributions

pins = re.findall(r"^([a-z0-9._-]+)==", pathlib.Path("requirements/runtime.txt").read_text(), re.M)
spelt = lambda name: re.sub(r"[-_.]+", "-", name).lower()
shut = {top for top, dists in packages_distributions().items()
        if not {spelt(dist) for dist in dists} & {*pins, "otp-relay"}}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in shut - {"app", "workers"}:
            raise ModuleNotFoundError(f"{name} is not in the image")

sys.meta_path.insert(0, Absent())
for package in ("app", "workers"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
            print(module.name)
"""


def test_it_runs_as_nobody_in_particular_with_one_entry_point() -> None:
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", RUNTIME.one("USER").text)
    assert RUNTIME.one("ENTRYPOINT").words == ["otp-relay"]
    assert RUNTIME.one("CMD").words == ["api", "--config", "/etc/otp-relay/relay.toml"]
    assert RUNTIME.one("EXPOSE").text.split() == ["8080", "9100"]
    assert "PYTHONDONTWRITEBYTECODE=1" in RUNTIME.one("ENV").text


def test_the_base_is_pinned_by_digest_and_the_same_for_both_stages() -> None:
    [pinned] = re.findall(r"^ARG PYTHON_IMAGE=(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", pinned)
    assert {BUILD.image, RUNTIME.image} == {"${PYTHON_IMAGE}"}


def test_it_needs_no_shell() -> None:
    for word in ("ENTRYPOINT", "CMD", "HEALTHCHECK"):
        assert RUNTIME.one(word).words  # the exec form: a list
    for role in ("api", "worker"):
        text = (ROOT / "deploy" / "base" / f"{role}.yaml").read_text()
        for command in re.findall(r"command: \[(.+?)[,\]]", text):
            assert command == "python"
    for file in [*(ROOT / "app").rglob("*.py"), *(ROOT / "workers").rglob("*.py")]:
        if "dev" not in file.relative_to(ROOT).parts:  # `otp-relay dev` alone starts processes
            found = re.findall(
                r"\b(subprocess|os\.(?:system|popen|exec\w*|spawn\w*)|create_subprocess_\w+)\b",
                file.read_text(),
            )
            assert found == [], file


def test_it_is_installed_from_the_lock_with_hashes_and_without_the_development_extra() -> None:
    installs = [part for run in BUILD.all("RUN") for part in run.text.split("&&") if " install " in part]
    assert installs
    assert all("--require-hashes -r requirements/" in part or "--no-index" in part for part in installs)
    assert not any(re.search(r"requirements/(dev|test)", line.text) for line in BUILD.instructions)
    assert not RUNTIME.all("RUN")


@pytest.mark.parametrize("stage", (BUILD, RUNTIME), ids=lambda stage: stage.name)
def test_no_layer_takes_in_more_than_it_names(stage: Stage) -> None:
    for copy in stage.all("COPY"):
        assert "--from=build" in copy.text or not {".", "./", "*"} & set(copy.text.split()[:-1])
    for line in [*stage.all("ARG"), *stage.all("ENV")]:
        assert not re.search(r"secret|token|password|key", line.text, re.IGNORECASE)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(line for line in ignored if not line.startswith("#")) == "*"


def test_whatever_is_copied_from_here_is_there_and_let_through() -> None:
    let_through = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    for copy in [*BUILD.all("COPY"), *RUNTIME.all("COPY")]:
        for source in () if "--from" in copy.text else copy.text.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(source == name or source.startswith(f"{name}/") for name in let_through), source


def test_every_module_imports_with_the_packages_of_the_runtime_lock_alone() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ONLY_THE_RUNTIME_LOCK], cwd=ROOT, capture_output=True, text=True, timeout=50
    )
    assert ran.returncode == 0, ran.stderr
    assert "app.message" in ran.stdout.split()


class _Answers(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/livez" else 404)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server on loopback whose `/livez` answers with that status; yields its port."""
    handler = type("Answers", (_Answers,), {"status": status})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            serving.join()


def health(*ports: int) -> int:
    """The exit code of the image's HEALTHCHECK against these ports."""
    command = [sys.executable, str(HEALTHCHECK), *map(str, ports)]
    return subprocess.run(command, timeout=20, check=False).returncode


def test_the_health_check_is_well_while_the_api_or_the_worker_lives() -> None:
    with answering(503) as failing, answering(200) as living:
        assert health(failing, living) == 0
        assert health(living) == 0
        assert health(failing) == 1
    assert health(living) == 1


def test_the_health_check_of_the_image_is_the_one_tried_here() -> None:
    [installed] = [copy for copy in RUNTIME.all("COPY") if "healthcheck" in copy.text]
    assert RUNTIME.one("HEALTHCHECK").words == ["python", installed.text.split()[-1]]
