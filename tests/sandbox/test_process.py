import asyncio
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process

import httpx
import pytest

from app.sandbox.main import SandboxSettings, run_sandbox
from tests.sandbox.desk import Desk

PROGRAM = """
import sys
from app.sandbox.main import SandboxSettings, run_sandbox
sys.exit(run_sandbox(SandboxSettings(), "127.0.0.1", 0, lambda url: print(url, flush=True)))
"""


async def started() -> tuple[Process, str]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 20)
    return process, line.decode().strip()


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
async def test_a_signal_ends_it_cleanly_even_with_an_answer_hanging(number: signal.Signals) -> None:
    process, url = await started()
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        await http.put("/sandbox/faults/hang", json={"on": "token"})
        hung = asyncio.create_task(http.get("/api/users/generate-access-token"))
        await Desk(http).state_when(lambda state: state["counts"]["token_requests"] == 1)
        process.send_signal(number)
        _, stderr = await asyncio.wait_for(process.communicate(), 5)
        await asyncio.gather(hung, return_exceptions=True)
    assert (process.returncode, stderr) == (0, b"")


def test_a_port_in_use_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run_sandbox(SandboxSettings(), "127.0.0.1", port) == 1
    assert capsys.readouterr().err == (
        f"otp-relay sandbox: port {port} on 127.0.0.1 is in use; choose another with --port\n"
    )
