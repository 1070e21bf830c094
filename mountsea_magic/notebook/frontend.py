"""The capabilities of the front end that a cell runs in."""

from __future__ import annotations

import os
import re
import sys
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.environment import variable

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """What a front end can do.

    Attributes:
        notebook: Whether it shows HTML and images, and updates outputs; otherwise it is a
            terminal, which prints a widget as its repr.
        attended: Whether someone may be watching. nbclient, papermill, `jupyter execute` and
            `jupyter nbconvert` allow no input, JupyterLab and Notebook do (checked with nbclient
            0.11, papermill 2.7, JupyterLab 4.6 and Notebook 7.6).
        clicks: Whether a click arrives while a cell blocks the kernel; this needs subshells.
        late_outputs: Whether outputs sent after the end of a cell still appear below it.
            ipykernel 7 keeps the cell in a context variable, Colab's ipykernel 6.17 in one
            attribute for all threads; an unattended runner listens only while a cell runs.
        draws_png: Whether a terminal draws PNG images: IPython does where the terminal supports
            kitty's protocol (since 9.13, ipython/ipython#15184), or where a renderer is set.
        updates: Whether an output can be updated later. Not within an `Output` widget, under
            `%%capture`, in a callback (JupyterLab writes its outputs to the log) and in
            jupyter-console: a widget would stay there, without function.
        output: The `Output` widget that captures the outputs, or None.
        app: Whether voila shows the notebook as an app: it runs the cells once, as an unattended
            runner, and then shows their outputs, of which only widgets stay live. Its visitors may
            be strangers (checked with voila 0.5).
    """

    notebook: bool
    attended: bool
    clicks: bool
    late_outputs: bool
    draws_png: bool
    updates: bool = True
    output: Any = field(default=None, repr=False)
    app: bool = False


def front_end(shell: InteractiveShell | None) -> FrontEnd:
    """Return the capabilities of the front end of the current cell.

    Args:
        shell: The user's shell; None in plain Python.

    Example:
        >>> front_end(None).notebook
        False
    """
    kernel = getattr(shell, "kernel", None)
    request: dict[str, Any] = getattr(kernel, "get_parent", dict)()
    attended = bool(request.get("content", {}).get("allow_stdin", True))
    parent = getattr(getattr(shell, "display_pub", None), "_parent_header", None)
    header = request.get("header", {})
    output = _output_widget(header.get("msg_id"))
    in_place = output is None and header.get("msg_type", "execute_request") == "execute_request"
    return FrontEnd(
        notebook=kernel is not None,
        attended=attended,
        clicks=bool(getattr(kernel, "_supports_kernel_subshells", False)),
        late_outputs=attended and isinstance(parent, ContextVar),
        draws_png=kernel is None and "image/png" in getattr(shell, "mime_renderers", {}),
        updates=in_place and not _captures(shell) and not _is_console(),
        output=output,
        app=kernel is not None and (variable("SERVER_SOFTWARE") or "").startswith("voila"),
    )


def _output_widget(message_id: str | None) -> Any:
    """Return the `Output` widget that captures the outputs of a message, or None."""
    module = sys.modules.get("ipywidgets.widgets.widget_output")
    if module is None or not message_id:
        return None
    base = sys.modules["ipywidgets.widgets.widget"]
    # ipywidgets 8 registers widgets in the module, ipywidgets 7 in the class
    widgets = base._instances if hasattr(base, "_instances") else base.Widget.widgets
    found = [
        widget
        for widget in list(widgets.values())
        if isinstance(widget, module.Output) and widget.msg_id == message_id
    ]
    return found[-1] if found else None


def _captures(shell: InteractiveShell | None) -> bool:
    """Return whether `%%capture` collects the outputs: it stores each update as a new output."""
    from IPython.core.displaypub import CapturingDisplayPublisher

    return isinstance(getattr(shell, "display_pub", None), CapturingDisplayPublisher)


@cache
def _is_console() -> bool:
    """Return whether a console started this kernel as its child."""
    return any(re.search(r"jupyter[-_ ](qt)?console|qtconsole|spyder", text) for text in _parent())


def _parent() -> list[str]:
    """Return the command line of the parent process; an empty one if it is not accessible."""
    try:
        # on Linux, and faster than to import psutil
        return Path(f"/proc/{os.getppid()}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        pass
    try:
        import psutil  # ipykernel depends on it

        arguments: list[str] = psutil.Process().parent().cmdline()
    except Exception:
        return []
    return arguments
