"""Trees of ipywidgets: close them completely, and let them react while a cell runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def widgets_of(*roots: Any) -> Iterator[Any]:
    """Yield each widget of some trees once, with its style and layout; parents first.

    Args:
        roots: Widgets, or None.

    Example:
        >>> import ipywidgets
        >>> len(list(widgets_of(ipywidgets.HBox([ipywidgets.Label("a dog")]))))
        5
    """
    pending, seen = [*reversed(roots)], set[int]()
    while pending:
        widget = pending.pop()
        if widget is None or id(widget) in seen:
            continue
        seen.add(id(widget))
        yield widget
        parts = (getattr(widget, "style", None), getattr(widget, "layout", None))
        pending += [*reversed(getattr(widget, "children", ())), *parts]


def close_tree(*roots: Any) -> None:
    """Close the widgets of some trees, their styles and layouts: a saved notebook has none of them.

    Args:
        roots: Widgets, or None; closing one again does nothing.
    """
    for widget in list(widgets_of(*roots)):
        widget.close()


def answer_while_busy(*roots: Any) -> None:
    """Let the widgets of some trees take clicks and input while a cell blocks the kernel.

    Args:
        roots: Widgets, or None.
    """
    for widget in widgets_of(*roots):
        # ipykernel 7.4 would reply on the main shell, which the cell blocks
        if hasattr(widget.comm, "_reply_subshell_for"):
            widget.comm._reply_subshell_for = lambda data, default: default
