"""How the process logs: structlog and the standard library through one formatter, to stderr.

Owns the form of a log line: readable on a terminal, one JSON object a line elsewhere. Every line, whoever wrote it,
passes the redaction last, what nobody caught included. It must never be set up at import: `configure_logging` is
called once by each entry point.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from app.telemetry.redaction import redact_value

log = structlog.get_logger()

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_HELD_AT_WARNING = (
    "httpx",
    "httpcore",
    "aiohttp",
    "hpack",
    "arq",
    "uvicorn.access",
    "granian.access",
    "_granian",
)
"""Loggers whose lower levels print URLs with tokens, or jobs with their arguments."""

_OWN_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "granian", "granian.access", "arq", "litestar")
"""Loggers that may have been given handlers of their own, which would print beside ours and unredacted."""


def configure_logging(*, stream: TextIO | None = None, env: Mapping[str, str] = os.environ) -> None:
    """Sets up structlog and `logging` for this process; may be called again. `stream` is stderr unless given.

    `RELAY_LOG_FORMAT` is `json` or `console` (default: by whether `stream` is a terminal), `RELAY_LOG_LEVEL` a level
    of `logging` (default: info). Raises ValueError where one of them is something else.
    """
    stream = stream or sys.stderr
    level = _level(env.get("RELAY_LOG_LEVEL", ""))
    form = _form(env.get("RELAY_LOG_FORMAT", ""), stream)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_last_steps(form, stream)],
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    _route_standard_library(level, formatter, stream)
    _route_the_uncaught()


def _last_steps(form: Literal["json", "console"], stream: TextIO) -> list[Processor]:
    if form == "console":
        traceback = structlog.dev.plain_traceback
        console = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=traceback)
        return [structlog.processors.format_exc_info, redact_fields, console]
    return [_structured_exception, redact_fields, structlog.processors.JSONRenderer(ensure_ascii=False)]


def redact_fields(_: object, __: str, event: EventDict) -> EventDict:
    """Redacts every value of the event, the exception's text included."""
    return {name: redact_value(name, value) for name, value in event.items()}


def _structured_exception(logger: object, method: str, event: EventDict) -> EventDict:
    # Locals hold codes and tokens, so they are never shown.
    transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
    return structlog.processors.ExceptionRenderer(transformer)(logger, method, event)


def _route_standard_library(level: int, formatter: logging.Formatter, stream: TextIO) -> None:
    handler = _Handler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    for name in _HELD_AT_WARNING:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)


class _Handler(logging.StreamHandler[TextIO]):
    """The library's own would write the arguments of a line that it cannot form, as they are."""

    def handleError(self, record: logging.LogRecord) -> None:
        line = {"event": "log line could not be formed", "logger": record.name, "level": "error"}
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(json.dumps({**line, "at": f"{record.pathname}:{record.lineno}"}) + "\n")


def _route_the_uncaught() -> None:
    """What Python would write to stderr itself, traceback, values and all. A hook that somebody else has set stays."""
    sys.excepthook = _uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _uncaught_in_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _unraisable


def _uncaught(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    log.error("process failed", exc_info=error)


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        log.error("thread failed", exc_info=args.exc_value)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    log.error("fault outside of any task", exc_info=args.exc_value)


def _level(text: str) -> int:
    if text and text.upper() not in _LEVELS:
        raise ValueError(f"RELAY_LOG_LEVEL: expected one of {', '.join(_LEVELS).lower()}")
    return logging.getLevelNamesMapping()[text.upper() or "INFO"]


def _form(text: str, stream: TextIO) -> Literal["json", "console"]:
    match text:
        case "":
            return "console" if stream.isatty() else "json"
        case "json" | "console":
            return text
        case _:
            raise ValueError("RELAY_LOG_FORMAT: expected json or console")
