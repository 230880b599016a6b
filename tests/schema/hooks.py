"""What schemathesis is told of this API beyond its document, so that more of what it makes up is taken.

Half of the bodies that are right by the schema are made right by the rules that no schema states, too; and nobody
waits for a state that no worker will bring.
"""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis import GenerationMode

from tests.api.desk import otp

_LONGEST_WAIT_S = 60


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: Any, __: Any) -> None:
    """Every case passes here on its way out."""
    if isinstance(case.query, dict):
        _wait_for_nothing(case.query)
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    items = case.body.get("messages", [case.body]) if isinstance(case.body, dict) else []
    for item in items:
        if "phone_number" in item and len(repr(item)) % 2:
            _make_acceptable(item)


def _wait_for_nothing(query: dict[str, Any]) -> None:
    wait = str(query.get("wait", ""))
    if wait.isdecimal() and wait.isascii() and int(wait) <= _LONGEST_WAIT_S:
        query["wait"] = 0


def _make_acceptable(message: dict[str, Any]) -> None:
    for rule_of_two_fields in ("expires_at", "callback_url"):
        message.pop(rule_of_two_fields, None)
    message |= otp()
    if isinstance(message.get("variables"), dict):
        message["variables"] = {f"v{n}": text for n, text in enumerate(message["variables"].values())}
