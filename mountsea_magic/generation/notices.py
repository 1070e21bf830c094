"""Notices: what went wrong beside a generation, and stopped nothing, is told once."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

from ..runtime.printing import echo
from ..runtime.text import printable
from .events import Event, Notice


def notify(notices: list[str], on_event: Callable[[Event], None] | None) -> None:
    """Tell of all that was wrong in one warning, so that it is read.

    Args:
        notices: What was wrong, a sentence each; there may be none.
        on_event: Told of it as a `Notice`; without it, it is a `RuntimeWarning`.

    Example:
        >>> notify(["the folder is full", "the journal is locked"], print)
        Notice(text='the folder is full; the journal is locked')
    """
    said = printable("; ".join(notices))
    if notices and on_event is not None:
        on_event(Notice(said))
    elif notices:
        try:
            warnings.warn(said, RuntimeWarning, stacklevel=2)
        except Exception:
            # where warnings are errors, or are shown by code of the user's own, a notice must
            # still not lose an image that is paid for
            echo(said, stream=sys.stderr)
