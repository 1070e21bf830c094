"""Redaction: no log, message or repr has the key, or an address's query, which may be signed."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable

from .key_redaction import LOOK, hide_from_here, hider, redact_key
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
"""Every logger that a request passes: a filter does not act on the loggers below its own."""

MAX_LOGGED = 8000
"""The longest line of a log, in characters: httpcore logs all headers in one."""

_RECENT: deque[Callable[[str], str]] = deque(maxlen=8)
"""For asyncio, which logs what has failed in whatever task runs by then."""


def without_queries(text: str) -> str:
    """Return a text with the query and the user of every address in it left out.

    Of a very long text only the beginning is returned: nothing of ours shows more.

    Example:
        >>> without_queries("GET https://cdn.example/a.png?signature=s3cret failed")
        'GET https://cdn.example/a.png?… failed'
    """
    if len(text) <= LOOK or "data:" in text:
        text = re.sub(r"(?i)\b(data:[^,\s]{0,80}),\S{40,}", r"\1,…", text)
    text = redact_key(text)[:LOOK] if len(text) > LOOK else text
    text = re.sub(r"(?i)(https?://)[^/\s@]*@", r"\1…@", text)
    return re.sub(r"(/[^\s?/]*)\?[^\s\"<>]+", r"\1?…", text)


def guard_logs(hide: Callable[[str], str]) -> None:
    """Redact what httpx and httpcore log of the requests that this task, and its children, make.

    The user's own requests are logged as ever. The key is hidden in the task's errors, too.

    Args:
        hide: Takes the key out of a text, which a Hub may echo in a header.
    """
    hide_from_here(hide)
    if hide not in _RECENT:
        _RECENT.append(hide)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _redact not in logger.filters:
            logger.addFilter(_redact)


def _redact(record: logging.LogRecord) -> bool:
    """A filter may change what it lets through."""
    if record.name == "asyncio":
        for hide in tuple(_RECENT):
            _hide_in_record(record, hide)
        return True
    hide_here = hider()
    if hide_here is not None:
        _hide_in_record(record, hide_here)
        text = without_queries(sanitize(record.msg, limit=MAX_LOGGED))
        # httpcore logs the user and the password of a SOCKS proxy, as the last of its details
        record.msg = re.sub(r"(\bauth=)\(b['\"].*", r"\1…", text)
    return True


def _hide_in_record(record: logging.LogRecord, hide: Callable[[str], str]) -> None:
    """A traceback with the key is written out here: a handler would write the error's own text."""
    record.msg, record.args = hide(record.getMessage()), ()
    text = record.exc_text or ""
    if record.exc_info and not text:
        text = logging.Formatter().formatException(record.exc_info)
    if hide(text) != text:
        record.exc_info, record.exc_text = None, hide(text)
