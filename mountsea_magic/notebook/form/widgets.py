"""The widgets of the form that don't depend on a model, and how they are laid out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...runtime.text import escape_html
from ..progress import TEXT_ONLY
from ..widget_tree import answer_while_busy, close_tree
from .fields import Field
from .layout import COPY_HTML, LABEL_WIDTH, STYLE
from .schema import note_html

MIN_COLUMN = "340px"
"""The minimum width of a column of fields: a narrow notebook has one column, a wide one two."""


class FormWidgets:
    """The widgets of a form, without what they do.

    Attributes:
        root: The widget that shows all of them.
        heading: Names the Hub.
        models: The list of models.
        model_note: What the model is good at.
        prompt: The prompt.
        generate: The button that submits.
        cancel: The button that stops waiting.
        close: The button that closes the form.
        cell: The text of the cell that does the same.

    Args:
        images: The field of the input images.
        recent: The row of recent images.
        results: The results.
        closable: Whether there is a button that closes the form.
    """

    def __init__(self, images: Any, recent: Any, results: Any, *, closable: bool) -> None:
        import ipywidgets

        style = {"description_width": LABEL_WIDTH}
        wide = {"width": "auto"}
        self.heading = ipywidgets.HTML()
        self.models = ipywidgets.Dropdown(
            options=[("", "")], description="model", style=style, layout=wide
        )
        self.model_note = ipywidgets.HTML()
        self.model_note.add_class("mountsea-note")
        self.prompt = ipywidgets.Textarea(
            description="prompt",
            placeholder="Describe the image.",
            rows=4,
            style=style,
            layout=wide,
        )
        self._prompt_note = ipywidgets.HTML()
        self._prompt_note.add_class("mountsea-note")
        self._fields = ipywidgets.GridBox(
            [],
            layout={
                "grid_template_columns": f"repeat(auto-fit, minmax(min({MIN_COLUMN}, 100%), 1fr))",
                "grid_gap": "2px 24px",
                "align_items": "flex-start",
            },
        )
        self.generate = ipywidgets.Button(description="Generate", button_style="primary")
        self.cancel = ipywidgets.Button(
            description="Cancel", disabled=True, tooltip="Stops waiting; the task can be resumed."
        )
        self.close = ipywidgets.Button(
            description="Close",
            tooltip="Leaves the last cell and the images in the notebook, and no widget: close the "
            "form before you share the notebook.",
        )
        self._message = ipywidgets.HTML()
        self._progress = ipywidgets.VBox([])
        self._progress.add_class("mountsea-progress")
        self.cell = ipywidgets.Textarea(
            description="as a cell",
            rows=3,
            style=style,
            layout={"width": "auto", "flex": "1 1 280px"},
        )
        closing = [self.close] if closable else []
        buttons = ipywidgets.HBox([self.generate, self.cancel, *closing])
        buttons.add_class("mountsea-buttons")
        copy = ipywidgets.HTML(COPY_HTML, layout={"flex": "0 0 auto"})
        cell = ipywidgets.HBox([self.cell, copy])
        cell.add_class("mountsea-cell")
        self._unused = () if closable else (self.close,)
        self.root = ipywidgets.VBox(
            [
                ipywidgets.HTML(STYLE),
                self.heading,
                *(self.models, self.model_note, self.prompt, self._prompt_note),
                images,
                self._fields,
                *(buttons, self._progress, self._message),
                *(cell, recent, results),
            ]
        )
        self.root.add_class("mountsea-form")

    def show_fields(self, fields: Sequence[Field]) -> None:
        """Show the fields of a model in place of those of another.

        Args:
            fields: The fields.
        """
        former = self._fields.children
        self._fields.children = [field.box for field in fields]
        answer_while_busy(self._fields)
        close_tree(*former)

    def show_prompt_problems(self, problems: Sequence[str]) -> None:
        """Show what is wrong with the prompt beside it.

        Args:
            problems: The messages.
        """
        self._prompt_note.value = note_html("", problems)

    def show_progress(self, *rows: Any) -> None:
        """Show the progress line of a run, in place of another.

        Args:
            rows: Its widget, or nothing.
        """
        former = self._progress.children
        self._progress.children = rows
        close_tree(*former)

    def show_message(self, message: str = "") -> None:
        """Show a message next to the buttons.

        Args:
            message: The text, or an empty text.
        """
        self.show_message_html(f"<pre>{escape_html(message)}</pre>" if message else "")

    def show_message_html(self, html: str) -> None:
        """Show a message in HTML next to the buttons.

        Args:
            html: The message.
        """
        inner = f'<div class="mountsea-problem {TEXT_ONLY}" role="alert">{html}</div>'
        self._message.value = inner if html else ""

    def announce(self, text: str) -> None:
        """Show that something was done, and announce it to screen readers.

        Args:
            text: The text.
        """
        self._message.value = (
            f'<div class="mountsea-help {TEXT_ONLY}" role="status">{escape_html(text)}</div>'
        )

    def set_running(self, running: bool) -> None:
        """Enable Cancel while a generation runs, and Generate otherwise.

        Args:
            running: Whether a generation runs.
        """
        self.generate.disabled, self.cancel.disabled = running, not running

    def show_cell(self, text: str) -> None:
        """Show the text of the cell, also if the user has changed it.

        Args:
            text: The text.
        """
        self.cell.rows = min(12, max(3, text.count("\n") + 2))
        self.cell.value = text

    def dispose(self) -> None:
        """Close all widgets."""
        close_tree(self.root, *self._unused)
