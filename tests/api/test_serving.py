"""The API as a process: where it listens, how it ends, and what it says when it cannot start."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
import redis
from redis import Redis

from app.serve import GRACE_S
from tests.api.desk import KEYS, config_text, otp
from tests.servers import ValkeyServer

PYTHON = [sys.executable, "-W", "error"]
TRACEBACK = "Traceback"
AUTHORIZATION = {"authorization": f"Bearer {KEYS['checkout']}"}


@pytest.fixture
def config_file(tmp_path: Path, redis_url: str) -> Path:
    with Redis.from_url(redis_url) as redis:
        redis.flushall()  # earlier tests have used up the number's limit
    file = tmp_path / "relay.toml"
    file.write_text(config_text(redis_url))
    return file


def _start(config_file: Path, port: int = 0, grace_s: int = GRACE_S) -> subprocess.Popen[str]:
    program = (
        "import sys, pathlib; from app import serve; from app.config import load_config\n"
        "serve.GRACE_S = int(sys.argv[3])\n"
        "say = lambda url: print(url, flush=True)\n"
        "sys.exit(serve.run_api(load_config(pathlib.Path(sys.argv[1])), '127.0.0.1', int(sys.argv[2]), say))"
    )
    return subprocess.Popen(
        [*PYTHON, "-c", program, str(config_file), str(port), str(grace_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
def test_a_signal_ends_it_with_code_0_and_no_traceback(config_file: Path, number: signal.Signals) -> None:
    process = _start(config_file)
    url = _url(process)
    answer = httpx.post(f"{url}/v1/messages", json=otp(), headers=AUTHORIZATION, trust_env=False)
    assert answer.status_code == 202
    assert "server" not in answer.headers
    process.send_signal(number)
    _, said = process.communicate(timeout=15)
    assert process.returncode == 0
    assert TRACEBACK not in said


def test_a_signal_ends_it_within_its_grace_also_while_somebody_waits(config_file: Path) -> None:
    process = _start(config_file, grace_s=1)
    url = _url(process)
    with httpx.Client(base_url=url, headers=AUTHORIZATION, trust_env=False) as http:
        path = http.post("/v1/messages", json=otp()).headers["location"]
    waiting = threading.Thread(target=_wait_until_cut_off, args=(f"{url}{path}?wait=60",))
    waiting.start()
    time.sleep(0.5)
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=15)
    waiting.join()
    assert process.returncode == 0
    assert time.monotonic() - started < 3
    assert GRACE_S <= 6
    assert TRACEBACK not in said


def _wait_until_cut_off(url: str) -> None:
    with contextlib.suppress(httpx.HTTPError):
        httpx.get(url, headers=AUTHORIZATION, timeout=30, trust_env=False)


def test_a_port_in_use_is_told_in_one_line_with_code_1(config_file: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = _start(config_file, port)
        _, said = process.communicate(timeout=15)
    assert process.returncode == 1
    assert [str(port) in line for line in said.splitlines()] == [True]


@pytest.mark.parametrize(
    "server",
    (["uvicorn", "app.main:app", "--port", "0"], ["litestar", "--app", "app.main:app", "run", "--port", "0"]),
)
def test_a_fault_of_the_configuration_is_told_without_a_traceback(tmp_path: Path, server: list[str]) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("[redis]\nurll = 1\n")
    ended = subprocess.run(
        [sys.executable, "-m", *server],
        env={"RELAY_CONFIG": str(file), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode != 0
    assert "redis.urll" in ended.stdout + ended.stderr
    assert TRACEBACK not in ended.stdout + ended.stderr


def test_importing_the_application_does_nothing(tmp_path: Path) -> None:
    subprocess.run([*PYTHON, "-c", "import app.main"], env={"PATH": ""}, check=True, timeout=30)


def test_a_redis_that_could_lose_messages_is_told_in_one_line(
    tmp_path: Path, own_redis: ValkeyServer
) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    file = tmp_path / "relay.toml"
    file.write_text(config_text(own_redis.url))
    process = _start(file)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "maxmemory-policy noeviction" in said
    assert TRACEBACK not in said
