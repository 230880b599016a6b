"""`check`: is all that the configuration names there, and does it answer? A table of what passed and what to mend."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.fault import CommandFault
from app.cli.options import config_option, read_config

if TYPE_CHECKING:
    from app.cli.finding import Finding

_SAY_EVERY_S = 2.0


@click.command(epilog="Example: otp-relay check --config relay.toml")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.option(
    "--scan-seconds",
    type=click.FloatRange(0),
    default=60,
    show_default=True,
    help="The longest look through Redis for what still needs an older encryption key.",
)
def check(config_file: Path | None, as_json: bool, scan_seconds: float) -> int:
    """Check a configuration against the world: Redis, accounts, campaigns, keys. Rings no phone.

    Makes a token for each account, asks each campaign's export for one row, and looks through Redis for what still
    needs which encryption key. Exit code 1 if anything failed.
    """
    from app.cli.checks import findings
    from app.cli.finding import Finding

    try:
        config = read_config(config_file)
    except CommandFault as fault:
        if not as_json or config_file is None:
            raise
        return _print_json([Finding("configuration", str(config_file), False, str(fault))])
    found = [
        Finding("configuration", str(config_file), True, ""),
        *asyncio.run(findings(config, scan_s=scan_seconds, seen=_progress())),
    ]
    return _print_json(found) if as_json else _print_table(found)


def _progress() -> Callable[[int, int], None]:
    """Says now and then, on a terminal's stderr, how far the look through Redis has come."""
    said_at = time.monotonic()

    def seen(looked_at: int, of: int) -> None:
        nonlocal said_at
        if sys.stderr.isatty() and time.monotonic() - said_at > _SAY_EVERY_S:
            said_at = time.monotonic()
            click.echo(f"looking through Redis: {looked_at} of {of} keys", err=True)

    return seen


def _print_json(found: Sequence[Finding]) -> int:
    passed = all(finding.passed for finding in found)
    checks = [
        {
            "what": each.what,
            "name": each.name,
            "passed": each.passed,
            "mend": each.mend or None,
            "note": each.note or None,
        }
        for each in found
    ]
    click.echo(json.dumps({"passed": passed, "checks": checks}, ensure_ascii=False, indent=2))
    return 0 if passed else 1


def _print_table(found: Sequence[Finding]) -> int:
    widest = max(len(finding.name) for finding in found)
    for finding in found:
        verdict = "ok" if finding.passed else "FAILED"
        click.echo(
            f"{verdict:<7} {finding.what:<14} {finding.name:<{widest}}  {finding.mend or finding.note}".rstrip()
        )
    failed = sum(not finding.passed for finding in found)
    click.echo(f"\n{failed} of {len(found)} failed" if failed else f"\nall {len(found)} passed")
    return 1 if failed else 0
