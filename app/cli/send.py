"""`send`: one message from the command line, and, if asked, its end."""

from __future__ import annotations

import json
import time

import click

from app.cli.fault import CommandFault
from app.cli.relay_client import LONGEST_WAIT_S, Json, RelayClient, relay_options

_WAIT_S = 30


@click.command(epilog="Example: otp-relay send --campaign login-otp --to 0901234567 --otp 004217 --wait")
@click.option("--campaign", help="Its name; may be left out where the client has just one.")
@click.option("--to", "phone_number", required=True, metavar="NUMBER", help="National or E.164.")
@click.option("--otp", "otp_code", metavar="CODE", help="Six digits, for a campaign of the voice_otp kind.")
@click.option("--var", "variables", multiple=True, metavar="K=V", help="A variable. May be repeated.")
@click.option("--reference", help="Your own word for it.")
@click.option("--expires-in", type=int, metavar="SECONDS", help="No call is asked for after that.")
@click.option("--callback-url", metavar="URL", help="Instead of the client's own.")
@click.option(
    "--wait",
    "wait_s",
    is_flag=False,
    flag_value=_WAIT_S,
    type=click.IntRange(1, 86_400),
    metavar="[SECONDS]",
    help=f"Wait for its end, {_WAIT_S} s unless said otherwise; exit code 1 unless it is answered.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the message as JSON.")
@relay_options
def send(
    url: str,
    key: str | None,
    wait_s: int | None,
    as_json: bool,
    variables: tuple[str, ...],
    **fields: object,
) -> int:
    """Send one message."""
    relay = RelayClient(url, key)
    body = {name: value for name, value in fields.items() if value is not None}
    if variables:
        body["variables"] = dict(_pair(variable) for variable in variables)
    message = relay.post("/v1/messages", body)
    if wait_s is None:
        _print(message, as_json)
        return 0
    if not as_json:
        _print(message, as_json)
    message = _at_its_end(relay, message, wait_s)
    _print(message, as_json)
    return 0 if message.get("state") == "answered" else 1


def _pair(variable: str) -> tuple[str, str]:
    name, equals, value = variable.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--var {variable}: write it as name=value, such as --var danh_xung=anh")
    return name, value


def _at_its_end(relay: RelayClient, message: Json, wait_s: int) -> Json:
    """The message when it is final. `CommandFault` if it is not by then."""
    give_up = time.monotonic() + wait_s
    while message.get("finished_at") is None:
        left_s = int(give_up - time.monotonic() + 0.99)
        if left_s <= 0:
            raise CommandFault(
                f"still {message.get('state')} after {wait_s} s; see: otp-relay show {message.get('id')}"
            )
        message = relay.get(f"/v1/messages/{message.get('id')}", wait_s=min(left_s, LONGEST_WAIT_S))
    return message


def _print(message: Json, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(message, ensure_ascii=False))
        return
    reason = f" ({message['reason']})" if message.get("reason") else ""
    click.echo(f"{message.get('id')}  {message.get('state')}{reason}")
