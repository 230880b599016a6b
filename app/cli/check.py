"""`check`: is all that the configuration names there, and does it answer? A table of what passed and what to mend."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.fault import CommandFault
from app.cli.options import config_option, read_config

if TYPE_CHECKING:
    from app.cli.checks import Finding


@click.command(epilog="Example: otp-relay check --config relay.toml")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def check(config_file: Path | None, as_json: bool) -> int:
    """Check a configuration against the world: Redis, accounts, campaigns. Rings no phone.

    Makes a token for each account, and asks each campaign's export for one row. Exit code 1 if anything failed.
    """
    from app.cli.checks import Finding, findings

    try:
        config = read_config(config_file)
    except CommandFault as fault:
        if not as_json or config_file is None:
            raise
        return _print_json([Finding("configuration", str(config_file), False, str(fault))])
    found = [Finding("configuration", str(config_file), True, ""), *asyncio.run(findings(config))]
    return _print_json(found) if as_json else _print_table(found)


def _print_json(found: Sequence[Finding]) -> int:
    passed = all(finding.passed for finding in found)
    checks = [
        {"what": each.what, "name": each.name, "passed": each.passed, "mend": each.mend or None}
        for each in found
    ]
    click.echo(json.dumps({"passed": passed, "checks": checks}, ensure_ascii=False, indent=2))
    return 0 if passed else 1


def _print_table(found: Sequence[Finding]) -> int:
    widest = max(len(finding.name) for finding in found)
    for finding in found:
        verdict = "ok" if finding.passed else "FAILED"
        click.echo(f"{verdict:<7} {finding.what:<14} {finding.name:<{widest}}  {finding.mend}".rstrip())
    failed = sum(not finding.passed for finding in found)
    click.echo(f"\n{failed} of {len(found)} failed" if failed else f"\nall {len(found)} passed")
    return 1 if failed else 0
