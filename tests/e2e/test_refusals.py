"""What each command says when it cannot start: one line for a port, all faults for a configuration, no traceback."""

import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from app.cli.entry import otp_relay
from tests.e2e.dev_run import DevRun
from tests.e2e.program import told

COMMANDS = tuple(otp_relay.list_commands(click.Context(otp_relay)))

FAULTY = """\
[server]
port = "eighty"
colour = "blue"

[campaigns.login-otp]
account = "nobody"
campaign_id = "1"
kind = "fax"
"""


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_a_usage_error(command: str) -> None:
    refused = told(command, "--colour")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--colour" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("command", ("dev", "api", "worker", "check"))
def test_all_faults_of_a_configuration_are_told_at_once(command: str, tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(FAULTY)
    data = ("--data-dir", tmp_path / "data") if command == "dev" else ()
    refused = told(command, "--config", config, *data)
    assert refused.returncode == 1
    said = refused.stdout + refused.stderr
    assert str(config) in said
    assert [word for word in ("server.port", "colour", "nobody", "kind") if word not in said] == []
    assert "Traceback" not in said


@pytest.mark.parametrize("command", ("api", "sandbox", "listen"))
def test_a_port_in_use_is_told_in_one_line(command: str, dev: DevRun, taken: int) -> None:
    config = ("--config", dev.data / "relay.toml") if command == "api" else ()
    refused = told(command, *config, "--host", "127.0.0.1", "--port", str(taken))
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert f"port {taken} on 127.0.0.1 is in use" in refused.stderr
