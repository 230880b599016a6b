import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.dev_process import CLEAN, Pasted, alive, all_gone, children_of, dev_run, pasted, pid_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")

NUMBER = r"\+84901\*\*\*567"


async def test_the_printed_curl_is_followed_by_the_line_of_its_callback(tmp_path: Path) -> None:
    async with dev_run(tmp_path) as run:
        message = await (await pasted(run)).send()
        await run.line(rf"callback message\.answered {message['id']} {NUMBER} signature ok", within_s=10)


async def test_the_curl_is_one_that_a_shell_takes(tmp_path: Path) -> None:
    async with dev_run(tmp_path) as run:
        line = (await run.line("curl .*"))[0]
        shell = await asyncio.create_subprocess_shell(line, stdout=subprocess.PIPE)
        answer, _ = await asyncio.wait_for(shell.communicate(), 10)
        assert json.loads(answer)["state"] == "queued"


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
async def test_a_signal_ends_all_of_it_quietly_within_five_seconds(tmp_path: Path, number: int) -> None:
    async with dev_run(tmp_path) as run:
        await (await pasted(run)).send()
        children = children_of(run.process.pid)
        run.process.send_signal(number)
        assert await run.ended(within_s=5) == 0
        assert len(children) == 6  # redis, sandbox, receiver, worker, API, and what keeps an eye on them
        assert alive(children) == {}
        assert run.stderr == []


async def test_a_signal_to_the_whole_group_reaches_no_part_before_dev_ends_it(tmp_path: Path) -> None:
    async with dev_run(tmp_path) as run:
        await pasted(run)
        os.killpg(run.process.pid, signal.SIGINT)
        assert await run.ended(within_s=5) == 0
        assert run.stderr == []


async def test_a_signal_before_it_is_ready_ends_it_too(tmp_path: Path) -> None:
    async with dev_run(tmp_path) as run:
        while not (tmp_path / "logs" / "api.log").exists():  # noqa: ASYNC110 - a file appears
            await asyncio.sleep(0.01)
        children = children_of(run.process.pid)
        run.process.send_signal(signal.SIGINT)
        assert await run.ended(within_s=5) == 0
        assert alive(children) == {}
        assert (run.stdout, run.stderr) == ([], [])


async def test_no_part_outlives_a_dev_that_was_killed(tmp_path: Path) -> None:
    async with dev_run(tmp_path) as run:
        await pasted(run)
        children = children_of(run.process.pid)
        run.process.kill()
        assert await all_gone(children, within_s=3)


async def test_the_next_start_has_the_same_key_and_the_messages(tmp_path: Path) -> None:
    async with dev_run(tmp_path) as run:
        first = await pasted(run)
        answered = await first.send()
        await run.line(rf"callback message\.answered {answered['id']} .* signature ok", within_s=10)
        queued = await first.send()
        run.process.send_signal(signal.SIGINT)
        await run.ended(within_s=5)
    async with dev_run(tmp_path) as run:
        second = await pasted(run)
        assert second.headers == first.headers
        assert (await second.show(answered["id"]))["state"] == "answered"
        await run.line(rf"callback message\.answered {queued['id']} {NUMBER} signature ok", within_s=15)


async def test_a_second_dev_with_the_same_data_names_the_port_of_the_first(tmp_path: Path) -> None:
    async with dev_run(tmp_path) as run:
        port = (await pasted(run)).url.split(":")[2].split("/")[0]
        second = await _one_shot("dev", "--data-dir", str(tmp_path), "--port", "0")
        assert second[0] == 1
        assert f"already running on port {port} (process {run.process.pid})" in second[1]
        assert second[1].count("\n") == 1
        await (await pasted(run)).send()


async def test_a_port_that_is_taken_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = await _one_shot("dev", "--data-dir", str(tmp_path), "--port", str(port))
    assert (code, said.count("\n")) == (1, 1)
    assert f"port {port} on 127.0.0.1 is in use" in said
    assert "otp-relay dev --port" in said


@pytest.mark.parametrize("part", ("sandbox", "worker", "api"))
async def test_the_death_of_one_part_is_told_and_stops_the_rest(tmp_path: Path, part: str) -> None:
    async with dev_run(tmp_path) as run:
        await pasted(run)
        children = children_of(run.process.pid)
        os.kill(pid_of(part, children), signal.SIGKILL)
        assert await run.ended(within_s=6) == 1
        assert alive(children) == {}
        told = "\n".join(run.stderr)
        assert f"otp-relay dev: {part} was ended by SIGKILL; its last words:\n  {part}: " in told
        assert "Traceback" not in told


async def test_a_part_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "sandbox.state").write_text("no state of a sandbox\n")
    async with dev_run(tmp_path) as run:
        assert await run.ended(within_s=20) == 1
        told = "\n".join(run.stderr)
        assert "otp-relay dev: sandbox ended with exit code 1" in told
        assert str(tmp_path / "sandbox.state") in told


async def test_keys_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with dev_run(data) as run:
        await pasted(run)
        private = [data / "relay.toml", *(data / "keys").iterdir(), *(data / "logs").iterdir()]
        assert len(private) == 9
        assert {stat.S_IMODE(file.stat().st_mode) for file in private} == {0o600}
        assert stat.S_IMODE(data.stat().st_mode) == 0o700


async def test_a_long_and_odd_data_dir_serves_as_well(tmp_path: Path) -> None:
    async with dev_run(tmp_path / "dữ liệu của tôi" / ("x" * 90)) as run:
        message = await (await pasted(run)).send()
        await run.line(rf"callback message\.answered {message['id']} {NUMBER} signature ok", within_s=10)


async def test_with_a_file_it_runs_the_api_and_the_worker_that_the_file_says(tmp_path: Path) -> None:
    async with dev_run(tmp_path / "own") as own:
        with_all = await pasted(own)
        config = tmp_path / "own" / "relay.toml"
        async with dev_run(tmp_path / "other", "--config", str(config), "--port", "0") as run:
            url = (await run.line(r"  API +(http://\S+)/docs"))[1]
            assert sorted(
                argv.split()[3] for argv in children_of(run.process.pid).values() if "-m" in argv
            ) == [
                "api",
                "worker",
            ]
            assert not [line for line in run.stdout if "sandbox" in line or "curl" in line]
            message = await Pasted(f"{url}/v1/messages", with_all.headers, with_all.body).send()
            await own.line(rf"callback message\.answered {message['id']} .* signature ok", within_s=10)


async def test_a_later_start_is_ready_within_five_seconds(tmp_path: Path) -> None:
    async with dev_run(tmp_path) as run:
        await pasted(run)
        run.process.send_signal(signal.SIGTERM)
        await run.ended(within_s=5)
    begun = time.monotonic()
    async with dev_run(tmp_path) as run:
        await pasted(run)
        print(f"ready after {time.monotonic() - begun:.1f} s")
    assert (
        time.monotonic() - begun < 30
    )  # the figure is for reading: a loaded machine is no fault of the program


async def _one_shot(*argv: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", *argv, stderr=subprocess.PIPE, env=CLEAN
    )
    _, said = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, said.decode()
