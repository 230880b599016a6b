"""What the end of a run leaves, and what a later start on the same data finds."""

import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.dev_run import DevRun


def end_of(run: DevRun, number: signal.Signals) -> None:
    """It ends in time and quietly, with nothing left of it, and each part was ended by `dev` alone."""
    code, after_s = run.stop(number)
    print(f"{number.name}: ended after {after_s:.1f} s")
    assert (code, run.processes()) == (0, {})
    assert after_s <= 5
    assert [line for line in run.stderr.splitlines() if "campaign_stopped" not in line] == []
    said = run.all_it_said()
    assert "Traceback" not in said
    # Redis tells which signal ended it: the terminal's own would be SIGINT.
    assert "Received SIGTERM" in said
    assert "Received SIGINT" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_ends_without_a_trace_and_the_next_finds_all_of_its_data(tmp_path: Path) -> None:
    with DevRun(tmp_path / "data") as first:
        done = first.ready().send_the_example()
        first.answered(done, within_s=10)
        told = first.message(done)
        in_hand = first.send_the_example()
        first.move_campaign("stop")
        queued = first.send_the_example(expires_in=600)
        key = first.key
        assert len(first.processes()) == 7  # dev, its keeper, Redis, sandbox, receiver, worker, API
        end_of(first, signal.SIGINT)

    with DevRun(tmp_path / "data") as second:
        assert second.ready().key == key
        print(f"start again to ready: {second.ready_after_s:.1f} s")
        assert second.ready_after_s <= 15
        assert second.message(done) == told
        assert second.message(queued)["state"] == "queued"
        second.move_campaign("start")
        for waiting in (in_hand, queued):
            second.answered(waiting, within_s=20)
        assert done not in second.stdout
        end_of(second, signal.SIGTERM)
