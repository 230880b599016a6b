"""Looks for what the suite plants in what each test left behind: in its logs, its output, and the Redis it ended.

A test that leaks fails with the place. The search is `tests/canaries`; what is looked at is handed in by the harnesses,
but for a test's own folder and what pytest captured, which are looked at here.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.typing import Processor

from app.telemetry.logs import redact_fields
from tests.canaries.search import Place
from tests.canaries.watch import WATCH

_FAILED = pytest.StashKey[bool]()


def pytest_configure() -> None:
    """What logs in this process passes what every line of the relay passes; tests that set it up otherwise undo it."""
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    own: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        redact_fields,
        console,
    ]
    structlog.configure(processors=own)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    if report.when != "teardown":
        return report
    folder: Any = getattr(item, "funcargs", {}).get("tmp_path")
    if isinstance(folder, Path):
        WATCH.look_in(folder)
    if not item.stash[_FAILED]:  # what a failing test shows of its values is for its reader
        for name, text in report.sections:
            WATCH.look(text, Place.LOG, name.lower())
    found = WATCH.taken()
    if found and not report.failed:
        report.outcome = "failed"
        report.longrepr = "\n".join(["what was planted stands where nobody may read it:", *found])
    return report
