"""Redact the API key and URL queries, which may be signed, from logs, messages and reprs."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable

from .key_redaction import MAX_SEARCHED_CHARS, current_redactor, redact_from_here, redact_key
from .text import sanitize

_LOGGERS = (
    "asyncio",
    "httpx",
    "httpcore",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)
"""Every logger that a request uses: filters do not apply to child loggers."""

MAX_LOGGED = 8000
"""The longest log message, in characters: httpcore logs all headers in one."""

_RECENT: deque[Callable[[str], str]] = deque(maxlen=8)
"""Recent redactors, for the asyncio logger: it logs a failed task outside the task's context."""


def without_queries(text: str) -> str:
    """Return a text in which every URL has lost its query, user and password.

    Of a very long text only the beginning is returned.

    Example:
        >>> without_queries("GET https://cdn.example/a.png?signature=s3cret failed")
        'GET https://cdn.example/a.png?… failed'
    """
    if len(text) <= MAX_SEARCHED_CHARS or "data:" in text:
        text = re.sub(r"(?i)\b(data:[^,\s]{0,80}),\S{40,}", r"\1,…", text)
    text = redact_key(text)[:MAX_SEARCHED_CHARS] if len(text) > MAX_SEARCHED_CHARS else text
    text = re.sub(r"(?i)(https?://)[^/\s@]*@", r"\1…@", text)
    return re.sub(r"(/[^\s?/]*)\?[^\s\"<>]+", r"\1?…", text)


def guard_logs(redact: Callable[[str], str]) -> None:
    """Redact what httpx and httpcore log about the requests of this task and its children.

    Log records of the user's own requests do not change. Error messages of the task are redacted
    too.

    Args:
        redact: Returns a text without the key, which a Hub may echo in a header.
    """
    redact_from_here(redact)
    if redact not in _RECENT:
        _RECENT.append(redact)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _filter not in logger.filters:
            logger.addFilter(_filter)


def _filter(record: logging.LogRecord) -> bool:
    """Redact a record in place, which logging filters are allowed to do."""
    if record.name == "asyncio":
        for redact in tuple(_RECENT):
            _redact_record(record, redact)
        return True
    redact_here = current_redactor()
    if redact_here is not None:
        _redact_record(record, redact_here)
        text = without_queries(sanitize(record.msg, limit=MAX_LOGGED))
        # httpcore logs the user and password of a SOCKS proxy, as the last detail
        record.msg = re.sub(r"(\bauth=)\(b['\"].*", r"\1…", text)
    return True


def _redact_record(record: logging.LogRecord, redact: Callable[[str], str]) -> None:
    """Format a traceback that contains the key here: a handler would format it unredacted."""
    record.msg, record.args = redact(record.getMessage()), ()
    text = record.exc_text or ""
    if record.exc_info and not text:
        text = logging.Formatter().formatException(record.exc_info)
    if redact(text) != text:
        record.exc_info, record.exc_text = None, redact(text)
