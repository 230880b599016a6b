"""`listen`: receive callbacks on this machine, verify their signatures, print a line for each."""

from __future__ import annotations

import os
import signal

import click

from app.cli.fault import CommandFault
from app.cli.options import PORT
from app.cli.ports import PortTakenError, bound, url_of


@click.command(epilog="Example: RELAY_SIGNING_SECRET=whsec_… otp-relay listen --port 8082 --json")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="H", help="Address to listen on.")
@click.option("--port", type=PORT, default=8082, show_default=True, metavar="P", help="Port to listen on.")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    envvar="RELAY_SIGNING_SECRET",
    show_envvar=True,
    metavar="WHSEC",
    help="whsec_…, or whpk_… of an ed25519 pair. May be repeated. Without it a fresh one is made.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, the body whole.")
@click.option("--quiet", is_flag=True, help="Print callbacks alone, not how to point a client here.")
def listen(host: str, port: int, secrets: tuple[str, ...], as_json: bool, quiet: bool) -> int:
    """Receive callbacks, and verify them by Standard Webhooks.

    A callback that verifies gets 204, another 401. Point a client of relay.toml at the URL that is printed.
    """
    from app.cli.receiver import Received, Receiver, serve_receiver

    keys = secrets or (_fresh_secret(),)
    _check(keys)
    try:
        listener = bound(host, port)
    except PortTakenError as error:
        raise CommandFault(f"{error}; choose another: otp-relay listen --port {port + 1}") from None
    except OSError:
        raise CommandFault(f"{host} is no address of this machine: leave --host out, or name one") from None

    def show(received: Received) -> None:
        try:
            click.echo(received.json_line if as_json else received.line)
        except BrokenPipeError:
            os.kill(os.getpid(), signal.SIGTERM)

    def ready() -> None:
        if not quiet:
            _say_how(f"{url_of(listener)}/callbacks", None if secrets else keys[0])

    serve_receiver(Receiver(keys, show), listener, ready)
    return 0


def _fresh_secret() -> str:
    from app.callbacks.signing import generate_secret

    return generate_secret()


def _check(keys: tuple[str, ...]) -> None:
    """Verifies nothing by the keys, which tells whether they are keys."""
    from app.callbacks.signing import SignatureFault, SigningKeyFault, verify

    unsigned = {"webhook-id": "-", "webhook-timestamp": "0", "webhook-signature": "-"}
    try:
        verify(keys, unsigned, b"", now_s=0)
    except SigningKeyFault as fault:
        raise CommandFault(f"--secret: {fault}; make one: otp-relay keygen signing-secret") from None
    except SignatureFault:
        return


def _say_how(url: str, fresh: str | None) -> None:
    origin = url.rpartition("/")[0]
    secret = f'["{fresh}"]' if fresh else '[{ env = "RELAY_SIGNING_SECRET" }]'
    click.echo(
        f"listening; in relay.toml, under [clients.<name>]:\n"
        f'  callback_url = "{url}"\n  callback_allow = ["{origin}"]\n  signing_secrets = {secret}',
        err=True,
    )
