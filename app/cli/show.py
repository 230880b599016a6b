"""`show`: a message and what became of it, step by step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import click

from app.cli.relay_client import Json, RelayClient, relay_options


@click.command(epilog="Example: otp-relay show msg_0192f3a4 --json")
@click.argument("message_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as it is.")
@relay_options
def show(url: str, key: str | None, message_id: str, as_json: bool) -> None:
    """Show a message, its timeline and its callbacks."""
    message = RelayClient(url, key).get(f"/v1/messages/{quote(message_id, safe='')}")
    if as_json:
        click.echo(json.dumps(message, ensure_ascii=False, indent=2))
        return
    for line in _lines(message):
        click.echo(line)


def _lines(message: Json) -> Iterator[str]:
    reason = f" ({message['reason']})" if message.get("reason") else ""
    yield f"{message.get('id')}  {message.get('state')}{reason}"
    for name in ("phone_number", "campaign", "reference", "expires_at", "callback_url"):
        if message.get(name) is not None:
            yield f"  {name:<13} {message[name]}"
    yield from _call(message.get("call"))
    for step in _objects(message.get("timeline")):
        yield f"  {_time(step.get('at'))}  {step.get('event')}  {step.get('detail') or ''}".rstrip()
    for callback in _objects(message.get("callbacks")):
        yield f"  callback {' '.join(_callback(callback))}"


def _call(call: object) -> Iterator[str]:
    if not isinstance(call, dict):
        return
    keys = ", ".join(call.get("keys") or ()) or "none"
    late = ", late" if call.get("late") else ""
    yield f"  {'call':<13} {call.get('call_id')}: {call.get('duration')} s, keys {keys}, {call.get('note')}{late}"


def _callback(callback: Json) -> Iterator[str]:
    yield f"{callback.get('type')} {callback.get('event_id')} {callback.get('state')}"
    yield f"after {callback.get('attempts')} attempt(s)"
    if callback.get("last_status") is not None:
        yield f"HTTP {callback['last_status']}"
    if callback.get("last_error"):
        yield f"{callback['last_error']}"
    if callback.get("next_attempt_at"):
        yield f"next at {_time(callback['next_attempt_at'])}"


def _objects(listed: object) -> list[Json]:
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []


def _time(at: object) -> str:
    return str(at).replace("T", " ").removesuffix("Z")
