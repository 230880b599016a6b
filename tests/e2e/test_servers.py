"""The API under the servers of its ecosystem, beside the Redis of a running `dev`."""

import signal
import socket
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.dev_run import DevRun
from tests.e2e.program import OTP_RELAY, Program

SERVERS = {
    "litestar": ("-m", "litestar", "--app", "app.main:app", "run", "--host", "127.0.0.1", "--port"),
    "granian": ("-m", "granian", "--interface", "asgi", "app.main:app", "--host", "127.0.0.1", "--port"),
    "uvicorn": ("-m", "uvicorn", "app.main:app", "--port"),
    "otp-relay api": (*OTP_RELAY[1:], "api", "--port"),
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def answer_when_there(url: str, within_s: float) -> httpx.Response:
    until = time.monotonic() + within_s
    while True:
        try:
            return httpx.get(url, trust_env=False)
        except httpx.ConnectError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


@pytest.mark.parametrize("server", SERVERS)
def test_it_is_ready_under(server: str, dev: DevRun) -> None:
    port, config = free_port(), dev.data / "relay.toml"
    argv = [sys.executable, *SERVERS[server], str(port)]
    with Program(argv, {"RELAY_CONFIG": str(config)}) as program:
        answer = answer_when_there(f"http://127.0.0.1:{port}/readyz", 15)
        assert answer.status_code == 200, answer.text
        program.send(signal.SIGTERM)
        program.ended(10)
        assert "Traceback" not in program.stdout + program.stderr
        if Path("/proc").exists():
            assert program.processes() == {}
