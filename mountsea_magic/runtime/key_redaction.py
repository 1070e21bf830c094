"""The gate for texts that leave: where a task talks to a Hub, no error and no record has its key.

The task that sends a request, and all that it starts, hide the key of that Hub in what they say.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

MASK = "[key]"
"""What stands in a text in place of the key."""

MIN_KEY = 8
"""A shorter key is no real one, and common words hold it."""

LOOK = 32 * 1024
"""How much of a text is searched for all forms, in characters; beyond it, for the key as it is."""

_HIDE: ContextVar[Callable[[str], str] | None] = ContextVar("mountsea_hide", default=None)

MARGIN = 4096
"""So much of a text's end is left out where it was cut: a key may have been cut with it."""


def hide_from_here(hide: Callable[[str], str]) -> None:
    """Let this task, and those that it starts from now on, hide a key.

    Args:
        hide: Takes the key out of a text.
    """
    _HIDE.set(hide)


def hider() -> Callable[[str], str] | None:
    """Return what takes the key out of a text, or None where no key is in play."""
    return _HIDE.get()


def redact_key(text: str, *, is_cut: bool = False) -> str:
    """Return a text that is about to leave without the key, if a host has echoed it.

    Call it once the text is clean, and before it is shortened: half a key is not found any more.

    Args:
        text: The text; of a very long one only the beginning is returned.
        is_cut: Whether it is the beginning of a longer one.

    Example:
        >>> redact_key("no key is in play here")
        'no key is in play here'
    """
    hide = _HIDE.get()
    if hide is None:
        return text
    if is_cut or len(text) > LOOK:
        return hide(text[:LOOK])[:-MARGIN]
    return hide(text)
