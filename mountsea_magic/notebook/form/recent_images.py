"""The form's row of recent images, each with a button that makes it an input image."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...images.files import GeneratedImage
from ...images.previews import NoPreview
from ...images.thumbnail_cache import cached_thumbnail
from ...runtime.text import sanitize
from ...session import current_session
from ...settings import Settings
from ..outputs import sized_element
from ..widget_tree import answer_while_busy
from .schema import section_html

MAX_RECENT = 8
"""How many recent images are offered."""

_MAX_ENTRIES = 60
"""How many of the newest entries of the journal are searched for recent images."""


@dataclass(frozen=True, slots=True)
class RecentImage:
    """An image of the journal that can be edited.

    Attributes:
        image: The image.
        prompt: What it was made from.
        html: Its thumbnail.
    """

    image: GeneratedImage
    prompt: str
    html: str


def recent_images(settings: Settings) -> list[RecentImage]:
    """Return the latest images of the journal that are still on disk, newest first.

    Args:
        settings: The settings, which name the journal.
    """
    found: list[RecentImage] = []
    for entry in current_session().journal(settings).search("", limit=_MAX_ENTRIES):
        for image in entry.files:
            if len(found) == MAX_RECENT:
                return found
            with suppress(NoPreview):
                if image.path.is_file():
                    prompt = sanitize(entry.prompt, limit=200)
                    cached = cached_thumbnail(image, settings.thumbnails)
                    html = sized_element(cached, f"Image: {prompt}")
                    found.append(RecentImage(image, prompt, html))
    return found


class RecentImages:
    """A row of the latest images, each with a button that makes it an input image.

    Attributes:
        box: The widget; empty until `show`.

    Args:
        on_edit: Called with the image that the user wants to edit.
    """

    def __init__(self, on_edit: Callable[[GeneratedImage], None]) -> None:
        import ipywidgets

        self._on_edit = on_edit
        self.box = ipywidgets.VBox([])
        self.box.add_class("mountsea-recent")

    def show(self, found: list[RecentImage]) -> None:
        """Show the images; nothing if there are none.

        Args:
            found: The images.
        """
        import ipywidgets

        if not found:
            return
        heading = ipywidgets.HTML(section_html("Recent images"))
        items = [
            ipywidgets.VBox(
                [
                    ipywidgets.HTML(each.html),
                    edit_button(each.prompt, partial(self._on_edit, each.image)),
                ]
            )
            for each in found
        ]
        row = ipywidgets.Box(items)
        row.add_class("mountsea-row-of-images")
        self.box.children = (heading, row)
        answer_while_busy(self.box)


def edit_button(prompt: str, on_click: Callable[[], None]) -> Any:
    """Return a button that makes an image an input image.

    Args:
        prompt: What the image was made from.
        on_click: Called on a click.
    """
    import ipywidgets

    button = ipywidgets.Button(
        description="Edit this one", tooltip=f"Use as an input image: {sanitize(prompt, limit=80)}"
    )
    button.on_click(lambda _: on_click())
    return button
