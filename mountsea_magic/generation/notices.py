"""Notices: report problems that did not stop a generation, once."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

from ..runtime.printing import echo
from ..runtime.text import printable
from .events import Event, Notice


def notify(notices: list[str], on_event: Callable[[Event], None] | None) -> None:
    """Report all problems as one `Notice` or one warning, or nothing if there are none.

    Args:
        notices: The problems, one sentence each.
        on_event: Called with a `Notice`; without it, a `RuntimeWarning` is issued.

    Example:
        >>> notify(["the folder is full", "the journal is locked"], print)
        Notice(text='the folder is full; the journal is locked')
    """
    message = printable("; ".join(notices))
    if notices and on_event is not None:
        on_event(Notice(message))
    elif notices:
        try:
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        except Exception:
            # warnings may be errors (`-W error`) or shown by the user's own code, which may raise:
            # that must not lose an image that was paid for
            echo(message, stream=sys.stderr)
