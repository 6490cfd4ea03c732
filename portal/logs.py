"""How log lines look: JSON in production, words for a person otherwise; never a token."""

from __future__ import annotations

import logging
import re
from collections.abc import MutableMapping
from typing import Any

import structlog

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


def formatter(*, as_json: bool) -> logging.Formatter:
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last: Any = (
        structlog.processors.JSONRenderer()
        if as_json
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
