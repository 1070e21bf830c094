"""Thumbnails of the form: input images, and recent images of the journal."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...images.data_uris import InlineError, read_inline
from ...images.decoding import decode
from ...images.files import MAX_PIXELS, GeneratedImage
from ...images.inputs import UPLOAD_BYTES
from ...images.previews import NoPreview, Preview
from ...images.thumbnail_cache import THUMBNAIL_PX, cached_thumbnail
from ...images.thumbnails import thumbnail
from ...runtime.daemon_threads import run_in_thread
from ...runtime.text import escape_html, sanitize
from ...session import current_session
from ...settings import Settings
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


def thumbnail_html(url: str, alt: str) -> str:
    """Return an image element with a thumbnail of an input image.

    Args:
        url: A data URI; of another URL, which only the Hub fetches, just the text is shown.
        alt: The alt text.
    """
    if url[:5].lower() == "data:":
        with suppress(NoPreview, InlineError, OSError, ValueError):
            content = read_inline(url, max_bytes=2 * UPLOAD_BYTES)
            pixels = run_in_thread(lambda _: decode(content, max_pixels=MAX_PIXELS))
            small = thumbnail(pixels, (THUMBNAIL_PX, THUMBNAIL_PX))
            buffer = io.BytesIO()
            small.save(buffer, "JPEG", quality=75, optimize=True)
            return _element(Preview("image/jpeg", buffer.getvalue(), *small.size), alt)
    return f"<small>{escape_html(alt)}</small>"


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
                    found.append(RecentImage(image, prompt, _element(cached, f"Image: {prompt}")))
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


def _element(shown: Preview, alt: str) -> str:
    data = base64.b64encode(shown.data).decode("ascii")
    return (
        f'<img src="data:{shown.mimetype};base64,{data}" alt="{escape_html(alt)}" '
        f'width="{shown.width}" height="{shown.height}">'
    )
