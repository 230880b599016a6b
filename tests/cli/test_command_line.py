import asyncio
import base64
import hashlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.callbacks.signing import check_signing_key
from app.config import parse_config
from app.secret import Secret
from tests.cli.command_line import CLEAN, ran, serving

COMMANDS = ("dev", "api", "worker", "sandbox", "check", "send", "show", "listen", "keygen")


async def test_without_an_argument_it_lists_every_command() -> None:
    ended = await ran()
    assert (ended.code, ended.err) == (0, "")
    assert [line.split()[0] for line in ended.out.partition("Commands:")[2].splitlines() if line] == list(
        COMMANDS
    )


@pytest.mark.parametrize("command", COMMANDS)
async def test_each_help_has_an_example(command: str) -> None:
    ended = await ran(command, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert "Example: " in ended.out
    assert f"otp-relay {command}" in ended.out


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from app.cli.entry import run; run(['dev', '--help']); run(['send', '--help']);"
        "print([name for name in ('litestar', 'httpx', 'redis', 'uvicorn', 'msgspec') if name in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert output.splitlines()[-1] == "[]"


async def test_a_usage_error_is_exit_code_2() -> None:
    for argv in (("nonsense",), ("show",), ("keygen", "--ed25519"), ("send", "--to", "1", "--var", "x")):
        ended = await ran(*argv, RELAY_API_KEY="k" * 16)
        assert (ended.code, ended.out) == (2, ""), argv
        assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("argv", "told"),
    (
        (("api",), "no configuration: name one with --config relay.toml, or set RELAY_CONFIG"),
        (("worker", "--config", "/no/such.toml"), "/no/such.toml"),
        (("check", "--config", "/no/such.toml"), "/no/such.toml"),
        (("send", "--to", "0901234567"), "set RELAY_API_KEY"),
        (("show", "msg_1", "--key", "k" * 16, "--url", "http://127.0.0.1:1"), "is the relay running"),
        (("show", "msg_1", "--key", "k" * 16, "--url", "nonsense"), "--url (RELAY_URL) must be"),
        (("listen", "--secret", "whsec_x"), "otp-relay keygen signing-secret"),
        (("listen", "--host", "203.0.113.1"), "no address of this machine"),
    ),
)
async def test_what_cannot_be_done_is_one_line_with_what_to_type_next(
    argv: tuple[str, ...], told: str
) -> None:
    ended = await ran(*argv)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert ended.err.startswith("otp-relay: ")
    assert told in ended.err


async def test_a_closed_pipe_is_no_fault_to_speak_of() -> None:
    read, write = os.pipe()
    os.close(read)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "keygen", stdout=write, stderr=subprocess.PIPE, env=CLEAN
    )
    os.close(write)
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, err) == (1, b"")


async def test_ctrl_c_is_quiet() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with serving("show", "msg_1", "--key", "k" * 16, "--url", url) as process:
            asked, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(silent), 20)
            with asked:
                process.send_signal(signal.SIGINT)
                _, err = await asyncio.wait_for(process.communicate(), 5)
            assert (process.returncode, err.strip()) == (130, b"")


async def test_keygen_makes_a_key_and_the_line_that_relay_toml_takes() -> None:
    key, line = (await ran("keygen")).out.splitlines()
    digest = hashlib.sha256(key.split()[1].encode()).hexdigest()
    assert line.split(maxsplit=1)[1] == f'api_keys = ["sha256:{digest}"]'


async def test_keygen_makes_secrets_that_a_configuration_takes(tmp_path: Path) -> None:
    for options in ((), ("--ed25519",)):
        made = (await ran("keygen", "signing-secret", *options)).out
        check_signing_key(made.split()[1])
    encryption = (await ran("keygen", "encryption-key")).out.split()[1]
    assert len(base64.b64decode(encryption, validate=True)) == 32
    text = '[redis]\nurl = "redis://localhost"\n[storage]\nencryption_keys = [{ env = "RELAY_ENCRYPTION_KEY" }]\n'
    config = parse_config(text, file=str(tmp_path / "relay.toml"), env={"RELAY_ENCRYPTION_KEY": encryption})
    assert config.storage.encryption_keys[0] == Secret.of(encryption)
