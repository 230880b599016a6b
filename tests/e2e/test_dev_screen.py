import os
import shlex
import shutil
import stat
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from tests.e2e.dev_run import DevRun
from tests.e2e.processes import cores_used, rss_mib
from tests.e2e.program import told


def pasted(line: str) -> httpx.Response:
    """What a shell makes of the line; without a `curl`, what the line says."""
    words = shlex.split(line)
    if shutil.which("curl"):
        done = subprocess.run(["sh", "-c", line], capture_output=True, timeout=10, check=True)
        return httpx.Response(202, content=done.stdout)
    headers = dict(word.split(": ", 1) for flag, word in pairwise(words) if flag == "-H")
    return httpx.post(words[2], headers=headers, content=words[-1], trust_env=False)


def test_it_is_ready_within_seconds(dev: DevRun) -> None:
    print(f"start to ready: {dev.ready_after_s:.1f} s")
    assert dev.ready_after_s <= 15


def test_one_screen_shows_both_pages_the_key_and_a_curl(dev: DevRun) -> None:
    with httpx.Client(trust_env=False) as http:
        pages = [http.get(url) for url in (dev.docs_url, f"{dev.sandbox_url}/")]
    assert [(page.status_code, page.headers["content-type"][:9]) for page in pages] == [
        (200, "text/html")
    ] * 2
    screen = dev.stdout.partition("\ncallback ")[0].splitlines()
    assert len(screen) <= 24
    assert dev.key in dev.curl
    assert sum(line.startswith("curl ") for line in screen) == 1


def test_the_pasted_curl_leads_to_a_verified_callback(dev: DevRun) -> None:
    pasted_at = time.monotonic()
    sent = pasted(dev.curl).json()
    assert sent["state"] == "queued"
    dev.answered(sent["id"], within_s=10)
    print(f"curl to callback: {time.monotonic() - pasted_at:.2f} s")
    assert dev.message(sent["id"])["state"] == "answered"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_idles_on_little(dev: DevRun) -> None:
    processes = dev.processes()
    used = cores_used(processes, 3)
    for pid, line in processes.items():
        print(f"{used[pid]:6.1%} {rss_mib([pid]):6.0f} MiB  {line[-90:]}")
    core, mib = sum(used.values()), rss_mib(processes)
    print(f"idle: {core:.1%} of a core, {mib:.0f} MiB")
    assert core <= 0.05
    assert mib <= 500


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_each_part_leads_a_session_of_its_own_so_that_ctrl_c_reaches_dev_alone(dev: DevRun) -> None:
    processes = dev.processes()
    assert len(processes) == 7  # dev, its keeper, Redis, sandbox, receiver, worker, API
    assert {pid: os.getsid(pid) for pid in processes} == {pid: pid for pid in processes}


def test_keys_configuration_and_logs_are_readable_by_their_owner_alone(dev: DevRun) -> None:
    private = [
        dev.data / "relay.toml",
        *(dev.data / "keys").iterdir(),
        *(dev.data / "logs").iterdir(),
    ]
    assert len(private) == 9
    assert {stat.S_IMODE(file.stat().st_mode) for file in private} == {0o600}
    assert stat.S_IMODE(dev.data.stat().st_mode) == 0o700


def test_another_on_the_same_data_is_told_which_port_the_first_has(dev: DevRun) -> None:
    port = httpx.URL(dev.api_url).port
    another = told("dev", "--data-dir", dev.data, "--port", "0")
    assert (another.returncode, another.stdout) == (1, "")
    assert another.stderr.count("\n") == 1
    assert f"already running on port {port} (process {dev.pid})" in another.stderr
    assert dev.message(dev.send_the_example())["phone_number"] == "+84901234567"


def test_another_on_the_same_port_is_told_so(dev: DevRun, tmp_path: Path) -> None:
    port = httpx.URL(dev.api_url).port
    another = told("dev", "--data-dir", tmp_path / "data", "--port", str(port))
    assert (another.returncode, another.stdout) == (1, "")
    assert another.stderr.count("\n") == 1
    assert f"port {port} on 127.0.0.1 is in use" in another.stderr
    assert "otp-relay dev --port" in another.stderr
