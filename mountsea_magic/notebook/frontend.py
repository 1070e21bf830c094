"""The front end that a cell was run from: what it can show, and what gets back from it."""

from __future__ import annotations

import re
import sys
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """What a front end can do.

    Attributes:
        notebook: Whether it shows HTML and images, and replaces outputs; else it is a terminal,
            where a widget would be printed as its repr.
        watched: Whether someone may look on. nbclient, papermill, `jupyter execute` and `jupyter
            nbconvert` allow no input, and JupyterLab and Notebook do (measured with nbclient 0.11,
            papermill 2.7, JupyterLab 4.6 and Notebook 7.6).
        clicks: Whether a click arrives while a cell blocks the kernel: by a subshell alone.
        late: Whether what is shown after a cell is over still gets below it. ipykernel keeps the
            cell in a context variable, and Colab's 6.17 in one place for all; and a runner that
            nobody watches listens only while a cell runs.
        draws_png: Whether a terminal draws PNG images: IPython does it where the terminal speaks
            kitty's protocol (since 9.13, ipython/ipython#15184), or where it was given a renderer.
        updates: Whether an output can be replaced later. Not within an `Output` widget, in what
            `%%capture` collects, in a callback, whose outputs JupyterLab puts into its log, and
            in jupyter-console: there a widget would stay for ever, dead.
        output: The `Output` widget that takes what is displayed, or None.
    """

    notebook: bool
    watched: bool
    clicks: bool
    late: bool
    draws_png: bool
    updates: bool = True
    output: Any = field(default=None, repr=False)


def front_end(shell: InteractiveShell | None) -> FrontEnd:
    """Return what the front end can do that the present cell was run from.

    Args:
        shell: The user's shell; None in plain Python.

    Example:
        >>> front_end(None).notebook
        False
    """
    kernel = getattr(shell, "kernel", None)
    request: dict[str, Any] = getattr(kernel, "get_parent", dict)()
    watched = bool(request.get("content", {}).get("allow_stdin", True))
    parent = getattr(getattr(shell, "display_pub", None), "_parent_header", None)
    header = request.get("header", {})
    output = _output_widget(header.get("msg_id"))
    in_place = output is None and header.get("msg_type", "execute_request") == "execute_request"
    return FrontEnd(
        notebook=kernel is not None,
        watched=watched,
        clicks=bool(getattr(kernel, "_supports_kernel_subshells", False)),
        late=watched and isinstance(parent, ContextVar),
        draws_png=kernel is None and "image/png" in getattr(shell, "mime_renderers", {}),
        updates=in_place and not _captures(shell) and not _is_console(),
        output=output,
    )


def _output_widget(message_id: str | None) -> Any:
    """The front end puts what answers a message into the `Output` widget that names it."""
    module = sys.modules.get("ipywidgets.widgets.widget_output")
    if module is None or not message_id:
        return None
    base = sys.modules["ipywidgets.widgets.widget"]
    # ipywidgets 8 keeps its widgets in the module, ipywidgets 7 in the class
    widgets = base._instances if hasattr(base, "_instances") else base.Widget.widgets
    found = [
        widget
        for widget in list(widgets.values())
        if isinstance(widget, module.Output) and widget.msg_id == message_id
    ]
    return found[-1] if found else None


def _captures(shell: InteractiveShell | None) -> bool:
    """Within `%%capture` each update is kept as an output of its own."""
    from IPython.core.displaypub import CapturingDisplayPublisher

    return isinstance(getattr(shell, "display_pub", None), CapturingDisplayPublisher)


@cache
def _is_console() -> bool:
    """A kernel is a child of the console that started it; ipykernel itself brings psutil."""
    try:
        import psutil

        words = psutil.Process().parent().cmdline()
    except Exception:
        return False  # no psutil, no parent, or none that we may look at: no console that we know
    return any(re.search(r"jupyter[-_ ](qt)?console|qtconsole|spyder", word) for word in words)
