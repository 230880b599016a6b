"""What the end of a run leaves, and what a later start on the same data finds."""

import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.dev_run import ANSWERED, DevRun


def end_of(run: DevRun, number: signal.Signals) -> None:
    """It ends in time, with nothing left of it, and no log holds a traceback."""
    code, after_s = run.stop(number)
    print(f"{number.name}: ended after {after_s:.1f} s")
    assert (code, run.processes()) == (0, {})
    assert after_s <= 5
    assert "Traceback" not in run.all_it_said()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_ends_without_a_trace_and_the_next_finds_all_of_its_data(tmp_path: Path) -> None:
    with DevRun(tmp_path / "data") as first:
        done = first.ready().send_the_example()
        first.line_when(lambda line: done in line, 10)
        first.move_campaign("stop")
        queued = first.send_the_example(expires_in=600)
        key, told = first.key, first.message(done)
        assert len(first.processes()) == 7  # dev, its keeper, Redis, sandbox, receiver, worker, API
        end_of(first, signal.SIGINT)

    with DevRun(tmp_path / "data") as second:
        assert second.ready().key == key
        assert second.message(done) == told
        assert second.message(queued)["state"] == "queued"
        second.move_campaign("start")
        assert ANSWERED.fullmatch(second.line_when(lambda line: queued in line, 20))
        assert done not in second.stdout
        end_of(second, signal.SIGTERM)
