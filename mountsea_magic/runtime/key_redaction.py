"""Redact the API key from errors and log records of the task that talks to a Hub.

The redactor is a context variable: it applies to the task that sends a request, and to the tasks
that it starts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

MASK = "[key]"
"""Replaces the key in a text."""

MIN_KEY = 8
"""The shortest key that is redacted, in characters; shorter ones occur in common words."""

MAX_SEARCHED_CHARS = 32 * 1024
"""How much of a text is searched for encoded forms, in characters; the rest for the literal key."""

_REDACTOR: ContextVar[Callable[[str], str] | None] = ContextVar("mountsea_redactor", default=None)

MARGIN = 4096
"""How much of a truncated text's end is dropped, in characters: it may hold a part of the key."""


def redact_from_here(redact: Callable[[str], str]) -> None:
    """Set the redactor for this task, and for the tasks that it starts from now on.

    Args:
        redact: Returns a text without the key.
    """
    _REDACTOR.set(redact)


def current_redactor() -> Callable[[str], str] | None:
    """Return the redactor of this task, or None without a key."""
    return _REDACTOR.get()


def redact_key(text: str, *, is_cut: bool = False) -> str:
    """Return a text without the key, in case a host has echoed it.

    Call it after sanitizing and before truncating: a part of the key would not be found.

    Args:
        text: The text; of a very long one only the beginning is returned.
        is_cut: Whether the text is already the beginning of a longer one.

    Example:
        >>> redact_key("without a redactor nothing changes")
        'without a redactor nothing changes'
    """
    redact = _REDACTOR.get()
    if redact is None:
        return text
    if is_cut or len(text) > MAX_SEARCHED_CHARS:
        return redact(text[:MAX_SEARCHED_CHARS])[:-MARGIN]
    return redact(text)
