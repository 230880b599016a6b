"""`dev --config`: just what the file says, beside what runs already."""

import signal
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e.dev_run import DevRun


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_runs_api_and_worker_alone_and_asks_its_own_worker_whether_it_is_ready(
    dev: DevRun, tmp_path: Path
) -> None:
    """The file is one that another run uses, so that the worker's port it names is taken."""
    config = dev.data / "relay.toml"
    with DevRun(tmp_path / "data", "--config", str(config), "--port", "0") as run:
        run.ready()
        parts = [
            line.split(" app.cli ")[1].split()[0] for line in run.processes().values() if "-m app" in line
        ]
        assert sorted(parts) == ["api", "dev", "worker"]
        assert "sandbox" not in run.stdout
        assert "curl" not in run.stdout
        assert httpx.get(f"{run.api_url}/readyz", trust_env=False).status_code == 200
        dev.answered(dev.send_the_example(run.api_url), within_s=10)
        assert run.stop(signal.SIGINT)[0] == 0
        assert run.stderr == ""
    assert dev.message(dev.send_the_example())["phone_number"] == "+84901234567"
