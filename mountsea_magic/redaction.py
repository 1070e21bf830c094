"""Redaction: the queries of addresses are signed, so they go into no log, message or repr."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar

from .text import plain

_HIDE: ContextVar[Callable[[str], str] | None] = ContextVar("mountsea_hide", default=None)
_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)
"""Every logger that a request passes: a filter does not act on the loggers below its own."""

MAX_LOGGED = 8000
"""The longest line of a log, in characters: httpcore logs all headers in one."""


def without_queries(text: str) -> str:
    """Return a text with the query and the user of every address in it left out.

    Example:
        >>> without_queries("GET https://cdn.example/a.png?signature=s3cret failed")
        'GET https://cdn.example/a.png?… failed'
    """
    text = re.sub(r"(?i)\b(data:[^,\s]{0,80}),\S{40,}", r"\1,…", text)
    text = re.sub(r"(?i)(https?://)[^/\s@]*@", r"\1…@", text)
    return re.sub(r"(/[^\s?/]*)\?[^\s\"<>]+", r"\1?…", text)


def guard_logs(hide: Callable[[str], str]) -> None:
    """Redact what httpx and httpcore log of the requests that this task, and its children, make.

    The user's own requests are logged as ever.

    Args:
        hide: Takes the key out of a text, which a Hub may echo in a header.
    """
    _HIDE.set(hide)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _redact not in logger.filters:
            logger.addFilter(_redact)


def _redact(record: logging.LogRecord) -> bool:
    """A filter may change what it lets through."""
    hide = _HIDE.get()
    if hide is not None:
        text = hide(without_queries(plain(record.getMessage(), limit=MAX_LOGGED)))
        # httpcore logs the user and the password of a SOCKS proxy, as the last of its details
        record.msg, record.args = re.sub(r"(\bauth=)\(b['\"].*", r"\1…", text), ()
    return True
