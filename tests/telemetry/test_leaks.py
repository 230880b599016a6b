"""Ways round the log's form: what Python or a library would write by itself passes the redaction too."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
import structlog

from app.telemetry.logs import configure_logging
from app.telemetry.redaction import redact

TOKEN = "Hx4Kwtoken0123456789"
URL = f"https://es.aicallcenter.vn/api/users/call-log?access_token={TOKEN}&limit=1"


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the process logs, at the lowest level; afterwards all is as it was."""
    root, ours = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    levels = {
        name: one.level
        for name, one in logging.root.manager.loggerDict.items()
        if isinstance(one, logging.Logger)
    }
    for hook, own in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(hook, own, getattr(hook, f"__{own}__"))
    written = io.StringIO()
    configure_logging(stream=written, env={"RELAY_LOG_LEVEL": "debug"})
    yield written
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)
    structlog.configure(**ours)


def events(stream: io.StringIO) -> list[str]:
    return [json.loads(line)["event"] for line in stream.getvalue().splitlines()]


def test_what_nobody_caught_is_a_line_of_the_log(stream: io.StringIO) -> None:
    try:
        raise RuntimeError(URL)
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, error.__traceback__)
    assert events(stream) == ["process failed"]
    assert "RuntimeError" in stream.getvalue()
    assert TOKEN not in stream.getvalue()


def test_what_a_thread_and_a_destructor_raise_is_too(stream: io.StringIO) -> None:
    class Falls:
        def __del__(self) -> None:
            raise RuntimeError(URL)

    def fall() -> None:
        raise RuntimeError(URL)

    thread = threading.Thread(target=fall)
    thread.start()
    thread.join()
    Falls()
    assert events(stream) == ["thread failed", "fault outside of any task"]
    assert TOKEN not in stream.getvalue()


async def test_a_task_that_nobody_asked_of_and_a_slow_step_tell_no_url(stream: io.StringIO) -> None:
    async def fall() -> None:
        await asyncio.sleep(0)
        raise RuntimeError(URL)

    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    loop.call_soon(lambda *_: None, URL)
    task = asyncio.create_task(fall(), name=URL)
    await asyncio.wait([task])
    del task
    await asyncio.sleep(0)
    loop.set_debug(False)
    said = events(stream)
    assert any(line.startswith("Task exception was never retrieved") for line in said)
    assert any(line.startswith("Executing ") for line in said)
    assert TOKEN not in stream.getvalue()


def test_a_line_that_cannot_be_formed_shows_no_argument(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger().handlers[1:] = []  # pytest's own, which raises
    logging.getLogger("library").warning("%d rows", URL)
    assert events(stream) == ["log line could not be formed"]
    assert TOKEN not in stream.getvalue() + capsys.readouterr().err


def test_a_warning_that_quotes_a_url_tells_none(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"unclosed {URL}", ResourceWarning, stacklevel=1)
    assert len(events(stream)) == 1
    assert TOKEN not in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "hidden"),
    (
        ("GET /v1/messages?phone_number=0901+234+567&limit=2 200", "234"),
        ("GET /v1/messages?q=%2B84%20901%20234%20567", "234"),
        (f"connect to https://h/x?{TOKEN[:3]}a={TOKEN}", TOKEN),
        ("phone_number=0901%20234%20567 gone", "234"),
        ("phone_number=%2B84901234567", "234"),
        ("to (090) 123-4567", "123"),
        (f"relay_access_token={TOKEN}", TOKEN),
        (f"Access-Token: {TOKEN}", TOKEN),
        (f"x-api-key: {TOKEN}", TOKEN),
        (f"token={TOKEN} dead", TOKEN),
        (f'{{"token": "{TOKEN}"}}', TOKEN),
        (f"<h1>500</h1><p>GET /export?access_token={TOKEN}</p>", TOKEN),
    ),
    ids=range(12),
)
def test_no_query_and_no_credential_is_left_however_it_is_spelled(text: str, hidden: str) -> None:
    assert hidden not in redact(text)


def test_a_number_that_is_a_number_is_masked_by_its_name(stream: io.StringIO) -> None:
    structlog.get_logger().info("told", phone_number=6591234567, rows=6591234567, **{"api-key": 1})
    line = json.loads(stream.getvalue())
    assert (line["phone_number"], line["rows"], line["api-key"]) == ("+65912***567", 6591234567, "***")
