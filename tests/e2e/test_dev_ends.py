"""How a run ends that nobody stopped in its prime: killed, by the death of a part, or before it was ready."""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.e2e.dev_run import DevRun

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_in_a_folder_of_a_long_and_odd_name_it_serves_and_when_it_is_killed_no_part_outlives_it(
    tmp_path: Path,
) -> None:
    with tempfile.TemporaryDirectory(prefix="relay") as short:
        odd = tmp_path / "dữ liệu của tôi" / ("x" * 90)
        with DevRun(odd, env={"TMPDIR": short}) as run:
            run.answered(run.ready().send_the_example(), within_s=10)
            assert len(run.processes()) == 7
            run.send(signal.SIGKILL)
            assert run.ended(3) == -signal.SIGKILL
            assert run.gone(within_s=3)


@pytest.mark.parametrize("part", ("sandbox", "worker", "api"))
def test_the_death_of_one_part_is_told_and_stops_the_rest(dev: DevRun, tmp_path: Path, part: str) -> None:
    """The sandbox's in a run of all parts; the others' in one of just these two, beside the shared one."""
    config = () if part == "sandbox" else ("--config", str(dev.data / "relay.toml"), "--port", "0")
    with DevRun(tmp_path, *config) as run:
        os.kill(run.ready().part(part), signal.SIGKILL)
        assert run.ended(6) == 1
        assert run.processes() == {}
        assert f"otp-relay dev: {part} was ended by SIGKILL; its last words:\n  {part}: " in run.stderr
        assert "Traceback" not in run.stderr


def test_a_part_that_cannot_start_says_why(tmp_path: Path) -> None:
    state = tmp_path / "sandbox.state"
    state.write_text("no state of a sandbox\n")
    with DevRun(tmp_path) as run:
        assert run.ended(20) == 1
        assert "otp-relay dev: sandbox ended with exit code 1" in run.stderr
        assert str(state) in run.stderr


def test_a_signal_before_it_is_ready_ends_it_too(tmp_path: Path) -> None:
    with DevRun(tmp_path) as run:
        give_up = time.monotonic() + 20
        while not (tmp_path / "logs" / "api.log").exists():
            assert time.monotonic() < give_up
            time.sleep(0.01)
        assert run.stop(signal.SIGINT)[0] == 0
        assert run.processes() == {}
        assert (run.stdout, run.stderr) == ("", "")
