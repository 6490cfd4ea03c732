"""How log lines look: JSON in production, words for a person otherwise; never a token."""

from __future__ import annotations

import logging
import re
from collections.abc import MutableMapping
from functools import cached_property
from typing import Any

# Our tokens, wherever a library might repeat one (in a URL, a header, an exception's text).
_TOKEN = re.compile(r"cph-[A-Za-z0-9-]{8,}")
_TOKEN_IN_PATH = re.compile(r"/t/[^/\s\"']+")


def mask(text: str) -> str:
    """``text`` with every token in it made unreadable."""
    return _TOKEN_IN_PATH.sub("/t/***", _TOKEN.sub("cph-***", text))


def _mask_values(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = mask(value)
    return event


def make_ready() -> None:
    """Load what lines are made with, before processes are forked that would each load it."""
    for handler in logging.getLogger().handlers:
        handler.format(logging.makeLogRecord({}))


class Formatter(logging.Formatter):
    """Made when the first line is logged: what it is made with takes a tenth of the time in which
    a command starts, and most commands log nothing."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        return self._made.format(record)

    @cached_property
    def _made(self) -> logging.Formatter:
        import structlog  # noqa: PLC0415 - as said

        shared: list[Any] = [
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
        ]
        last: Any = (
            structlog.processors.JSONRenderer()
            if self._as_json
            else structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback
            )
        )
        return structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _mask_values,
                last,
            ],
        )
