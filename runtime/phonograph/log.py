"""Loggers: the library's, which stays inside the standard logging tree, and the command line's, for people or machines."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO

import structlog

Logger = structlog.typing.FilteringBoundLogger
LogFormat = Literal["console", "json"]


def library_logger() -> Logger:
    """What an embedded executor logs to: the standard logger `phonograph`, so that the host program decides where it goes."""
    logger: Any = structlog.wrap_logger(
        logging.getLogger("phonograph"),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.KeyValueRenderer(key_order=["event", "node", "key"], drop_missing=True),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger  # type: ignore[no-any-return]  # structlog types its wrappers as Any


def command_logger(log_format: LogFormat, level: str, stream: TextIO | None = None) -> Logger:
    """What `run-pipeline` logs to: aligned lines for people, or one JSON object a line, on standard error."""
    stream = stream or sys.stderr
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=16)
    )
    logger: Any = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return logger  # type: ignore[no-any-return]  # structlog types its wrappers as Any
