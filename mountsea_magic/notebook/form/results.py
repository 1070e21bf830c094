"""The results of the form: its images, newest first, and what stays of them in the notebook."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from ...generation.handle import Generation
from ...images.contact_sheet import ContactSheet, Tile
from ...images.files import GeneratedImage
from ...images.sheet_layout import wrapped_columns
from ...runtime.text import counted, escape_html, sanitize
from ..image_rows import SIDE_BY_SIDE
from ..outputs import Output, alt_text, final_line, image_bundle, preview_output
from ..progress import TEXT_ONLY
from ..sheet_output import MAX_PIXELS
from ..widget_tree import answer_while_busy, close_tree
from .recent_images import edit_button

MAX_RESULTS = 20
"""How many results are shown; older ones are named."""

_MAX_NAMED = 50
"""How many older results are named, each with its file."""


class Results:
    """The results of a form, newest first.

    Attributes:
        box: The widget that shows them.
        generations: All completed generations, oldest first.

    Args:
        on_edit: Called with the image that the user wants to edit.
        paths: Whether the paths of the files are shown.
    """

    def __init__(self, on_edit: Callable[[GeneratedImage], None], *, paths: bool = True) -> None:
        import ipywidgets

        self._on_edit, self._paths = on_edit, paths
        self.generations: list[Generation] = []
        self._older = ipywidgets.HTML()
        self._rows: list[Any] = []
        self.box = ipywidgets.VBox([self._older])
        self.box.add_class("mountsea-results")

    def add(self, generation: Generation) -> None:
        """Show a result above the others.

        Args:
            generation: A completed generation.
        """
        row = self._row(generation)
        answer_while_busy(row)
        self.generations.append(generation)
        dropped = self._rows[MAX_RESULTS - 1 :]
        self._rows = [row, *self._rows[: MAX_RESULTS - 1]]
        self._older.value = self._older_html()
        self.box.children = (*self._rows, self._older)
        close_tree(*dropped)

    def output(self) -> Output | None:
        """Return the output that stays in the notebook: the image, or a sheet of all of them."""
        generations = self.generations[::-1]
        if not generations:
            return None
        if len(generations) == 1 and len(generations[0].images) == 1:
            with suppress(OSError):
                return image_bundle(generations[0], generations[0].images[0], 1)
        items = [(each, image) for each in generations for image in each.images]
        columns = wrapped_columns(len(items))
        labels = [sanitize(each.prompt) for each, _ in items]
        sheet = ContactSheet(
            math.ceil(len(items) / columns), columns, labels=labels, max_pixels=MAX_PIXELS
        )
        for number, (_, image) in enumerate(items):
            sheet.put(*divmod(number, columns), Tile((image.path,)))
        drawn = sheet.encode()
        text = "\n".join(final_line(each).text for each in generations)
        return preview_output(drawn, text, sheet.alt_text())

    def _row(self, generation: Generation) -> Any:
        """Return the widgets of a result: its line, and each image with its button."""
        import ipywidgets

        line = final_line(generation)
        html = line.html.removesuffix(SIDE_BY_SIDE)  # that styles the outputs of a cell
        if not self._paths:
            summary = line.text.partition("\n")[0]
            html = f'<small class="{TEXT_ONLY}">{escape_html(summary)}</small>'
        count = len(generation.images)
        figures = []
        for number, image in enumerate(generation.images, start=1):
            caption = html if count == 1 else f"<small>Image {number} of {count}</small>"
            figure = ipywidgets.HTML(figure_html(generation, image, number, caption))
            button = edit_button(generation.prompt, partial(self._on_edit, image))
            figures.append(ipywidgets.VBox([figure, button]))
        row = ipywidgets.Box(figures)
        row.add_class("mountsea-row-of-images")
        if count > 1:
            row.add_class("mountsea-several")
        lines = [ipywidgets.HTML(html)] if count > 1 else []
        result = ipywidgets.VBox([*lines, row])
        result.add_class("mountsea-result")
        return result

    def _older_html(self) -> str:
        """Name the results that are not shown any more."""
        older = self.generations[:-MAX_RESULTS]
        if not older:
            return ""
        texts = [final_line(each).text.splitlines() for each in older[: -_MAX_NAMED - 1 : -1]]
        shown = [lines if self._paths else lines[:1] for lines in texts]
        items = "".join(f"<li>{escape_html(' · '.join(lines))}</li>" for lines in shown)
        return (
            f'<div class="{TEXT_ONLY}"><small>{counted(len(older), "older result")}:'
            f"<ul>{items}</ul></small></div>"
        )


def figure_html(
    generation: Generation, image: GeneratedImage, number: int, caption_html: str
) -> str:
    """Return a figure with the preview of an image, as a cell shows it.

    Args:
        generation: The generation.
        image: One of its images.
        number: The image's number, from 1.
        caption_html: The caption.
    """
    alt = escape_html(alt_text(generation, number))
    try:
        bundle, metadata = image_bundle(generation, image, number)
    except OSError:
        bundle, metadata = {"text/plain": "The file can't be read."}, {}
    for mimetype, size in metadata.items():
        shown = (
            f'<img src="data:{mimetype};base64,{bundle[mimetype]}" alt="{alt}" '
            f'width="{size["width"]}" height="{size["height"]}">'
        )
        break
    else:
        shown = f"<pre>{escape_html(bundle['text/plain'])}</pre>"
    return f"<figure>{shown}<figcaption>{caption_html}</figcaption></figure>"
