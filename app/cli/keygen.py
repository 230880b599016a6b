"""`keygen`: fresh keys and secrets, with the line of relay.toml that each belongs in. Keeps none of them."""

from __future__ import annotations

import base64
import hashlib
import secrets

import click

KINDS = ("api-key", "signing-secret", "encryption-key")


@click.command(epilog="Example: otp-relay keygen signing-secret --ed25519")
@click.argument("kind", type=click.Choice(KINDS), default="api-key")
@click.option("--ed25519", is_flag=True, help="A signing secret of two halves: consumers get the public one.")
def keygen(kind: str, ed25519: bool) -> None:
    """Make a key, and the line to put into relay.toml.

    KIND is api-key (the default; relay.toml holds only its digest), signing-secret or encryption-key.
    """
    if ed25519 and kind != "signing-secret":
        raise click.UsageError(
            "--ed25519 goes with signing-secret: otp-relay keygen signing-secret --ed25519"
        )
    if kind == "api-key":
        _print_api_key()
    elif kind == "signing-secret":
        _print_signing_secret(ed25519)
    else:
        _print_encryption_key()


def new_api_key() -> str:
    """A fresh key of 256 bits that a shell needs no quotes for."""
    return f"otprelay_{secrets.token_hex(32)}"


def new_encryption_key() -> str:
    """32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def digest_of(api_key: str) -> str:
    """What relay.toml holds of an API key."""
    return f"sha256:{hashlib.sha256(api_key.encode()).hexdigest()}"


def _print_api_key() -> None:
    key = new_api_key()
    click.echo(f"key         {key}")
    click.echo(f'relay.toml  api_keys = ["{digest_of(key)}"]')


def _print_signing_secret(ed25519: bool) -> None:
    from app.callbacks.signing import generate_key_pair, generate_secret

    secret, public = generate_key_pair() if ed25519 else (generate_secret(), "")
    click.echo(f"secret      {secret}")
    if public:
        click.echo(f"public      {public}")
    click.echo('relay.toml  signing_secrets = [{ env = "RELAY_SIGNING_SECRET" }]')


def _print_encryption_key() -> None:
    click.echo(f"key         {new_encryption_key()}")
    click.echo('relay.toml  encryption_keys = [{ env = "RELAY_ENCRYPTION_KEY" }]')
