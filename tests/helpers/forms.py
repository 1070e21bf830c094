"""Fill in forms in tests: real ipywidgets without a kernel, and a record of what is displayed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from cells import DEFAULTS, composed
from hang import HANG_S
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic.errors import Interrupted, MountseaError
from mountsea_magic.generation.handle import Generation
from mountsea_magic.notebook.form.form import Form
from mountsea_magic.notebook.frontend import FrontEnd
from mountsea_magic.notebook.widget_tree import widgets_of
from mountsea_magic.request.request import ImageRequest
from mountsea_magic.session import current_session

LIVE = FrontEnd(notebook=True, attended=True, clicks=True, late_outputs=True, draws_png=False)
"""JupyterLab."""

APP = FrontEnd(
    notebook=True, attended=False, clicks=True, late_outputs=False, draws_png=False, app=True
)
"""voila."""


@dataclass
class Screen:
    """What is displayed: the mimebundle of each output, as last updated.

    Attributes:
        outputs: The outputs, in order.
    """

    outputs: list[Mapping[str, Any]] = field(default_factory=list)

    def display(self, bundle: Mapping[str, Any], **_: Any) -> _Handle:
        """Stand in for `IPython.display.display`."""
        self.outputs.append(bundle)
        return _Handle(self, len(self.outputs) - 1)


@dataclass
class _Handle:
    screen: Screen
    index: int

    def update(self, bundle: Mapping[str, Any], **_: Any) -> None:
        self.screen.outputs[self.index] = bundle


def make_form(
    shell: InteractiveShell, model: str = "nano-banana", front: FrontEnd = LIVE, **options: Any
) -> Form:
    """Make a form; it is not displayed."""
    session = current_session()
    found = session.registry.current(session.settings()).model(model)
    return Form(shell, found, replace(DEFAULTS, **options), front)


def put(form: Form, name: str, value: Any) -> None:
    """Fill in a field as a user does: by the text of an entry, or the value of its control."""
    control = form.fields[name].controls[0]
    if hasattr(control, "options"):
        texts = [text for text, _ in control.options]
        chosen = [texts.index(text) for text in ([value] if isinstance(value, str) else value)]
        control.value = chosen[0] if isinstance(value, str) else tuple(chosen)
    else:
        control.value = value


def generate(form: Form, shell: InteractiveShell) -> Generation | None:
    """Click Generate, and wait until the result is shown; None if nothing was started."""
    before = shell.user_ns.get("_mountsea")
    form._started_at = float("-inf")  # as after a pause: this is no double click
    form.widgets.generate.click()
    handle: Generation | None = shell.user_ns.get("_mountsea")
    if handle is None or handle is before:
        return None
    await_end(handle)
    return handle


def await_end(handle: Generation) -> None:
    """Wait until a generation has ended, and what it shows is shown."""
    with suppress(MountseaError, Interrupted):
        handle.wait(HANG_S)


def texts(root: Any) -> str:
    """Return all HTML that a widget and those in it show."""
    from ipywidgets import HTML

    return "\n".join(each.value for each in widgets_of(root) if isinstance(each, HTML))


def message(form: Form) -> str:
    """Return the message next to the buttons, as HTML."""
    return str(form.widgets._message.value)


def note(form: Form, name: str) -> str:
    """Return what stands below a field, as HTML."""
    return str(form.fields[name]._note.value)


def request_of(cell: str, shell: InteractiveShell) -> ImageRequest:
    """Build the request that the text of a cell submits."""
    line, _, body = cell.removeprefix("%%mountsea ").partition("\n")
    settings = current_session().settings()
    return composed(line.removesuffix(" --raw"), body, settings, shell.user_ns)


def registry() -> Mapping[str, Any]:
    """Return the open widgets of the process by id."""
    import ipywidgets.widgets.widget as module

    # ipywidgets 8 registers widgets in the module, ipywidgets 7 in the class
    found: Mapping[str, Any] = (
        module._instances if hasattr(module, "_instances") else module.Widget.widgets
    )
    return found
