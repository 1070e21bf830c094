"""The command ``form``: shows a form of widgets where they work, else a note or what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import MountseaError
from ...session import current_session
from ..examples import example_cell
from ..frontend import front_end
from ..options import CellOptions

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

UNATTENDED = (
    "%mountsea form needs someone to fill it in, and this notebook was run unattended. An example "
    "of a cell that needs no form:"
)
"""The title of the note in place of the form."""


def form(shell: InteractiveShell, model_id: str | None, defaults: CellOptions) -> None:
    """Show a form that is made from a model's schema.

    Args:
        shell: The user's shell.
        model_id: The model to begin with, or None for the default.
        defaults: The values of ``%config``.

    Raises:
        MountseaError: If there can be no widgets here; names what works instead.
        InvalidRequest: If the model is unknown.
    """
    front = front_end(shell)
    if not front.notebook:
        raise MountseaError(
            "%mountsea form needs a notebook front end, such as JupyterLab. Here, write a "
            "%%mountsea cell; `%%mountsea -h` lists its options."
        )
    if not front.updates:
        raise MountseaError(
            "%mountsea form can't be shown here (an Output widget, %%capture or a console): run it "
            "in a notebook cell of its own."
        )
    settings = current_session().settings()
    name = model_id if model_id is not None else defaults.model
    model = current_session().catalog_for(settings, name, {}).model(name)
    if not (front.attended or front.app):
        cell, left_out = example_cell(model)
        _show_note("\n".join(filter(None, (cell, *left_out))))
        return
    from ..form.form import Form

    try:
        shown = Form(shell, model, defaults, front)
    except ImportError as error:
        raise MountseaError("%mountsea form needs ipywidgets: pip install ipywidgets.") from error
    try:
        shown.show(_cell_id(shell))
    except BaseException:  # such as an interrupt while the Hub is asked for its models
        shown.close()
        raise


def _show_note(text: str) -> None:
    """Show a cell in place of the form."""
    from IPython.display import display

    from ..form.layout import note_of

    display(note_of(text, title=UNATTENDED), raw=True)  # type: ignore[no-untyped-call]  # IPython's display is untyped


def _cell_id(shell: InteractiveShell) -> str:
    """Return the id of the current cell, or an empty text where the front end gives none."""
    kernel: Any = getattr(shell, "kernel", None)
    request: dict[str, Any] = getattr(kernel, "get_parent", dict)()
    return str(request.get("metadata", {}).get("cellId", ""))
