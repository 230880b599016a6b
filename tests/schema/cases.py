"""Runs schemathesis against a real API process: cases made up from the OpenAPI document, each answer held to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.api.desk import KEYS
from tests.servers import valkey_server
from tests.traffic.api_process import AUTHORIZATION, api_process

ROOT = Path(__file__).resolve().parents[2]
_CONFIG = Path(__file__).with_name("schemathesis.toml")
_DEADLINE_S = 1800
_PHASES = ("examples", "coverage", "fuzzing", "stateful")


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a run. `said` is schemathesis' own report, for a person."""

    exit_code: int
    generated: int
    failures: int
    errors: int
    tested: int
    """Operations."""
    unfinished: list[str]
    """Phases that did not succeed."""
    said: str


def run_cases(per_operation: int, seed: int) -> Ran:
    """About so many cases for each operation in the fuzzing phase; what the other phases make comes on top."""
    with (
        tempfile.TemporaryDirectory() as folder,
        valkey_server() as redis,
        api_process(redis.url, Path(folder), short_s=30) as relay,
    ):
        said = _schemathesis(relay.url, Path(folder), per_operation, seed)
        report = json.loads(next(Path(folder).glob("report/json-*.json")).read_text())
        _resume_all(relay.url)
        relay.serves_a_good_caller()
        relay.said_nothing_bad()
    phases = report["phases"]
    return Ran(
        exit_code=said.returncode,
        generated=report["test_cases"]["generated"],
        failures=report["test_cases"]["unique_failures"],
        errors=report["test_cases"]["errored"],
        tested=report["operations"]["tested"],
        unfinished=[name for name in _PHASES if phases[name]["status"] != "success"],
        said=said.stdout + said.stderr,
    )


def _resume_all(url: str) -> None:
    """Some cases pause and drain campaigns, as operators may."""
    headers = {"authorization": f"Bearer {KEYS['admin']}"}
    with httpx.Client(base_url=f"{url}/v1/admin", headers=headers, trust_env=False) as operator:
        for campaign in operator.get("/campaigns").json()["data"]:
            resumed = operator.post(
                f"/campaigns/{campaign['name']}/resume", json={"reason": "all cases were run"}
            )
            assert resumed.status_code == 200, resumed.text


def _schemathesis(url: str, folder: Path, per_operation: int, seed: int) -> subprocess.CompletedProcess[str]:
    options = {
        "--header": AUTHORIZATION, "--max-examples": str(per_operation), "--seed": str(seed),
        "--generation-database": "none", "--report": "json", "--report-dir": str(folder / "report"),
        "--phases": ",".join(_PHASES),
    }  # fmt: skip
    told = [word for option in options.items() for word in option]
    program = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(_CONFIG), "run"]
    return subprocess.run(
        [*program, f"{url}/openapi.json", *told, "--continue-on-failure", "--no-color"],
        cwd=folder,  # where it leaves what it found
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.schema.hooks",
            "RELAY_ADMIN_KEY": KEYS["admin"],
        },
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
