"""The choice of a progress view: widgets only where someone can see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from .frontend import FrontEnd
from .progress import Line, ProgressView, TextView


def choose_view(
    front: FrontEnd,
    lines: Sequence[Line],
    *,
    background: bool = False,
    stream: TextIO | None = None,
) -> ProgressView:
    """Return the view for a front end; a terminal would print a widget as its repr.

    Args:
        front: The front end.
        lines: The lines to show.
        background: Whether the cell ends before its generations.
        stream: Where a terminal's lines are written; default: standard output.
    """
    if not front.notebook:
        return TextView(lines, stream, background=background)
    from .widgets import EndedView, PlainTextView, StaticView, WidgetView

    if not front.updates:
        return StaticView(lines)
    if all(line.final is not None for line in lines):
        return EndedView(lines)
    if not front.attended:
        return PlainTextView(lines, background=background)
    try:
        return WidgetView(lines)
    except Exception:
        # ipywidgets can be broken, or the kernel may have no comms: show static lines instead
        return StaticView(lines)
