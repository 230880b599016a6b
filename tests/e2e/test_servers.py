"""The API under the servers of its ecosystem, beside the Redis of a running `dev`."""

import signal
import socket
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.canaries.planted import MARK
from tests.e2e.dev_run import DevRun
from tests.e2e.program import OTP_RELAY, Program

SERVERS = {
    "litestar": ("-m", "litestar", "--app", "app.main:app", "run", "--host", "127.0.0.1", "--port"),
    "granian": (
        "-m",
        "granian",
        "--access-log",
        "--interface",
        "asgi",
        "app.main:app",
        "--host",
        "127.0.0.1",
        "--port",
    ),
    "uvicorn": ("-m", "uvicorn", "app.main:app", "--log-level", "trace", "--port"),
    "otp-relay api": (*OTP_RELAY[1:], "api", "--port"),
}

AT_THEIR_MOST_TALKATIVE = {"RELAY_LOG_LEVEL": "debug", "PYTHONASYNCIODEBUG": "1"}


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
    with Program(argv, {"RELAY_CONFIG": str(config), **AT_THEIR_MOST_TALKATIVE}) as program:
        answer = answer_when_there(f"http://127.0.0.1:{port}/readyz", 15)
        assert answer.status_code == 200, answer.text
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            asked = {"phone_number": "0901 234 567", "access_token": f"{MARK}token"}
            assert http.get("/v1/messages", params=asked).status_code == 401
            own = {"authorization": f"Bearer {dev.key}"}
            assert http.get("/v1/messages?phone_number=0901234567", headers=own).status_code == 200
        program.send(signal.SIGTERM)
        program.ended(10)
        said = program.stdout + program.stderr
        assert "Traceback" not in said
        assert not any(text in said for text in ("0901", "234567", MARK, dev.key))
        if Path("/proc").exists():
            assert program.processes() == {}
