"""The front end that a cell was run from: what it can show, and what gets back from it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """What a front end can do.

    Attributes:
        notebook: Whether it shows HTML and pictures, and replaces outputs; else it is a terminal,
            where a widget would be printed as its repr.
        watched: Whether someone may look on. nbclient, papermill, `jupyter execute` and `jupyter
            nbconvert` allow no input, and JupyterLab and Notebook do (measured with nbclient 0.11,
            papermill 2.7, JupyterLab 4.6 and Notebook 7.6).
        clicks: Whether a click arrives while a cell blocks the kernel: by a subshell alone.
        late: Whether what is shown after a cell is over still gets below it. ipykernel keeps the
            cell in a context variable, and Colab's 6.17 in one place for all; and a runner that
            nobody watches listens only while a cell runs.
        draws_png: Whether a terminal draws PNG pictures: IPython does it where the terminal speaks
            kitty's protocol (since 9.13, ipython/ipython#15184), or where it was given a renderer.
    """

    notebook: bool
    watched: bool
    clicks: bool
    late: bool
    draws_png: bool


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
    return FrontEnd(
        notebook=kernel is not None,
        watched=watched,
        clicks=bool(getattr(kernel, "_supports_kernel_subshells", False)),
        late=watched and isinstance(parent, ContextVar),
        draws_png=kernel is None and "image/png" in getattr(shell, "mime_renderers", {}),
    )
