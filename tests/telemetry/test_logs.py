"""What is logged is one line in one form, whoever logs it, and no secret stands in it."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.telemetry.logs import configure_logging
from app.telemetry.redaction import redact


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hook, ours = root.handlers[:], root.level, sys.excepthook, structlog.get_config()
    names = ("httpx", "httpcore", "arq", "aiohttp", "uvicorn", "uvicorn.access")
    logging.captureWarnings(False)
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)
    sys.excepthook = hook
    structlog.configure(**ours)
    structlog.contextvars.clear_contextvars()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_away_from_a_terminal_each_event_is_one_json_line_with_its_context() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream, env={})
    structlog.contextvars.bind_contextvars(message_id="msg_1")
    structlog.get_logger("workers.submit").info("import settled", taken=3)
    (line,) = lines(stream)
    assert (line["event"], line["taken"], line["message_id"]) == ("import settled", 3, "msg_1")
    assert (line["level"], line["logger"]) == ("info", "workers.submit")
    assert str(line["timestamp"]).endswith("Z")


def test_on_a_terminal_it_is_readable_unless_json_is_asked_for() -> None:
    readable, asked = Terminal(), Terminal()
    configure_logging(stream=readable, env={})
    structlog.get_logger().info("import settled")
    configure_logging(stream=asked, env={"RELAY_LOG_FORMAT": "json"})
    structlog.get_logger().info("import settled")
    assert "import settled" in readable.getvalue()
    assert not readable.getvalue().startswith("{")
    assert lines(asked)[0]["event"] == "import settled"


def test_the_level_is_the_environments() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream, env={"RELAY_LOG_LEVEL": "warning"})
    structlog.get_logger().info("quiet")
    logging.getLogger("x").info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


@pytest.mark.parametrize("env", ({"RELAY_LOG_LEVEL": "loud"}, {"RELAY_LOG_FORMAT": "xml"}))
def test_another_level_or_format_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(env))):
        configure_logging(stream=io.StringIO(), env=env)


def test_libraries_log_through_the_same_form_and_once() -> None:
    stream, own = io.StringIO(), io.StringIO()
    logging.getLogger("uvicorn").addHandler(logging.StreamHandler(own))
    configure_logging(stream=stream, env={})
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    assert [line["event"] for line in lines(stream)] == ["Started server process [7]"]
    assert own.getvalue() == ""


@pytest.mark.parametrize(
    "name", ("httpx", "httpcore.http11", "arq.worker", "aiohttp.client", "uvicorn.access")
)
def test_what_would_print_urls_or_job_arguments_is_held_even_at_debug(name: str) -> None:
    stream = io.StringIO()
    configure_logging(stream=stream, env={"RELAY_LOG_LEVEL": "debug"})
    logging.getLogger(name).info("GET https://h/x")
    logging.getLogger(name).warning("told")
    assert [line["event"] for line in lines(stream)] == ["told"]


def test_a_warning_of_python_is_a_log_line() -> None:
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging(stream=stream, env={})
        warnings.warn("old", UserWarning, stacklevel=1)
    assert [line["logger"] for line in lines(stream)] == ["py.warnings"]


ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
# Drawn text alone may be a word of the program, such as Authorization.
WORD = st.text(ALPHABET, min_size=12, max_size=40).map(lambda drawn: f"Zq7Xv{drawn}")
PLANTED = st.one_of(
    WORD.map(lambda word: (word, f"GET https://h/api?access_token={word}&limit=10")),
    WORD.map(lambda word: (word, f"https://h/api?secret_key={word}")),
    WORD.map(lambda word: (word, f"Authorization: Bearer {word}")),
    WORD.map(lambda word: (word, f"refused Bearer {word} of h")),
    WORD.map(lambda word: (word, f"token eyJ{word}.eyJ{word}.{word} dropped")),
    WORD.map(lambda word: (word, f"signed with whsec_{word}=")),
    WORD.map(lambda word: (word, f"redis://user:{word}@host:6379/0")),
    WORD.map(lambda word: (word, f"{{'signing_secrets': ['{word}']}}")),
    WORD.map(lambda word: (f"{word} {word}", json.dumps({"secret_key": f"{word} {word}"}))),
    st.from_regex(r"[0-9]{6}", fullmatch=True).map(
        lambda code: (code, json.dumps(json.dumps({"otp_code": code})))
    ),
    st.from_regex(r"[0-9]{6}", fullmatch=True).map(lambda code: (code, f"{{'otp_code': '{code}'}}")),
    st.from_regex(r"\+84[35789][0-9]{8}", fullmatch=True).map(
        lambda number: (number[3:], f"calling {number}.")
    ),
    st.from_regex(r"0[35789][0-9]{8}", fullmatch=True).map(
        lambda number: (number[1:], f'{{"phone_number":"{number}"}}')
    ),
    st.from_regex(r"84[35789][0-9]{8}", fullmatch=True).map(
        lambda number: (number[2:], f"callee_id={number}, gone")
    ),
)


@given(PLANTED, st.sampled_from(["json", "console"]))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_planted_secret_stands_in_no_line_whichever_way_it_came(
    planted: tuple[str, str], form: str
) -> None:
    secret, text = planted
    stream = io.StringIO()
    configure_logging(stream=stream, env={"RELAY_LOG_FORMAT": form})
    log = structlog.get_logger()
    log.info(text)
    log.info(
        "with a field", field=text, deep={"of": [text, (text,)]}, raw=text.encode(), fault=ValueError(text)
    )
    logging.getLogger("library").warning("said %s", text)
    try:
        try:
            raise RuntimeError(text)
        except RuntimeError as cause:
            raise ValueError("outer") from cause
    except ValueError:
        log.exception("import failed")
        logging.getLogger("library").exception("import failed")
    assert stream.getvalue().count("outer") >= 2
    assert secret not in stream.getvalue()


def test_a_field_named_as_a_credential_is_hidden_whatever_it_holds() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream, env={})
    structlog.get_logger().info("told", otp_code=4217, call={"access_token": "abc"})
    (line,) = lines(stream)
    assert line["otp_code"] == "***"
    assert line["call"] == {"access_token": "***"}


def test_an_exception_is_structured_and_shows_no_locals() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream, env={})
    local = "value-of-a-local"
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger().exception("import failed")
    (line,) = lines(stream)
    assert isinstance(line["exception"], list)
    assert line["exception"][0]["exc_value"] == "broken"
    assert local not in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    (
        ("+84901234567", "+84901***567"),
        ("0901 234 567", "+84901***567"),
        ("84901234567", "+84901***567"),
        ("%2B84901234567", "+84901***567"),
        ("+84901***567", "+84901***567"),
    ),
)
def test_a_number_is_masked_in_the_one_form(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    (
        *(
            "2026-11-24T03:00:00.123456Z",
            "1795522844123",
            "msg_0901234567ab",
            "10.0.0.1:8080",
            "took 0.0123456789 s",
        ),
        *("sha256:0901234567abcdef", "otp_code is required", "5 of 200 records", "relay:{0}:due"),
    ),
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redact(text) == text
