"""The input images of the form: uploads, variables of the notebook, and files."""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...errors import InvalidRequest
from ...generation.handle import Generation
from ...images.data_uris import InlineError, read_inline
from ...images.decoding import decode
from ...images.files import MAX_PIXELS, GeneratedImage
from ...images.formats import sniff
from ...images.inputs import UPLOAD_BYTES, read_source, to_urls
from ...images.previews import NoPreview, Preview
from ...images.thumbnail_cache import THUMBNAIL_PX
from ...images.thumbnails import thumbnail
from ...request.catalog import Model
from ...runtime.daemon_threads import run_in_thread
from ...runtime.text import counted, escape_html, sanitize
from ..cell import LAST_RESULT
from ..outputs import sized_element
from ..progress import TEXT_ONLY
from ..widget_tree import answer_while_busy, close_tree
from .layout import UPLOAD_GUARD_HTML
from .schema import help_html, note_html, section_html

MAX_IMAGES = 16
"""The maximum number of input images in a form."""

MAX_VARIABLES = 100
"""The maximum number of variables that are offered."""

NO_VARIABLE, CHOOSE = ("none has an image yet", ""), ("choose one", "")
"""The first entry of the list of variables."""

UPLOAD_LIMIT = "Upload at most 10 MB at a time."

_MAX_THUMBNAILS = 4
"""How many thumbnails a variable with several images has."""


@dataclass(frozen=True, slots=True)
class _Source:
    """An input image: the word of ``-i``, and the widget that shows it."""

    word: str
    row: Any


class InputImagesField:
    """The input images of an edit model; they stay when another model is chosen.

    Attributes:
        box: The widget that shows all of it.
        takes_one: Whether the model takes only one image.

    Args:
        namespace: The user's variables; an upload becomes one of them.
        variables: Whether the user's variables are offered.
        guard: Runs a callback under the form's lock, and shows its errors.
        on_change: Called when an image is added or removed.
    """

    def __init__(
        self,
        namespace: dict[str, Any],
        *,
        variables: bool,
        guard: Callable[[Callable[[], None]], None],
        on_change: Callable[[], None],
    ) -> None:
        import ipywidgets

        self._namespace, self._guard, self._on_change = namespace, guard, on_change
        self._offers_variables = variables
        self.takes_one = False
        self._sources: list[_Source] = []
        self._refused: list[str] = []
        self._help, self._problems = "", tuple[str, ...]()
        self._list = ipywidgets.VBox([])
        self._upload = ipywidgets.FileUpload(accept="image/*", multiple=True)
        self._upload.observe(lambda _: guard(self._take_upload), "value")
        self._variable = ipywidgets.Dropdown(
            options=[NO_VARIABLE],
            description="or a variable",
            style={"description_width": "auto"},
            layout={"width": "auto", "max_width": "320px"},
        )
        self._add = ipywidgets.Button(
            description="Add", tooltip="Add the variable's images", layout={"width": "auto"}
        )
        self._add.on_click(lambda _: guard(self._add_variable))
        self._note = ipywidgets.HTML()
        self._note.add_class("mountsea-note")
        controls = [self._upload, *([self._variable, self._add] if variables else [])]
        row = ipywidgets.HBox(controls)
        row.add_class("mountsea-add-image")
        heading = ipywidgets.HTML(section_html("Input images"))
        limit = ipywidgets.HTML(UPLOAD_GUARD_HTML)
        self.box = ipywidgets.VBox([heading, self._list, row, limit, self._note])
        self.box.add_class("mountsea-images")
        self.offer_variables()

    @property
    def words(self) -> list[str]:
        """The input images as ``-i`` takes them: names of variables and paths."""
        return [source.word for source in self._sources]

    @property
    def count(self) -> int:
        """How many images these are."""
        return sum(map(self._count, self.words))

    def fit(self, model: Model) -> None:
        """Show or hide the field, and describe what a model takes.

        Args:
            model: The model.
        """
        name = model.image_parameter
        self.takes_one = model.parameters.get(name or "", {}).get("type") == "string"
        self.box.layout.display = "none" if name is None else ""
        self._help = ""
        if name is not None:
            self._help = f"{help_html(model.parameters[name], name)} {UPLOAD_LIMIT}"
        self._show_note()

    def add(self, word: str, label: str = "", *, replace: bool = False) -> None:
        """Add an image.

        Args:
            word: As ``-i`` takes it.
            label: A remark, such as the name of an uploaded file.
            replace: Remove the others.

        Raises:
            InvalidRequest: If it is no image, or there are too many.
        """
        if word in self.words:
            return
        if len(self._sources) >= MAX_IMAGES and not replace:
            raise InvalidRequest(
                f"A form has at most {MAX_IMAGES} input images: remove one to add another."
            )
        self._append(word, read_source(word, self._namespace, option="input image"), label, replace)

    def _append(self, word: str, urls: Sequence[str], label: str, replace: bool) -> None:
        """Show an image that was read, and take it for the request."""
        import ipywidgets

        shown = sanitize(word, limit=300)
        thumbnails = "".join(
            thumbnail_html(url, f"Input image {shown}") for url in urls[:_MAX_THUMBNAILS]
        )
        more = (
            f" and {counted(len(urls) - _MAX_THUMBNAILS, 'image')} more"
            if len(urls) > _MAX_THUMBNAILS
            else ""
        )
        text = f"<code>{escape_html(shown)}</code>{more} {escape_html(label)}"
        button = ipywidgets.Button(
            description="Remove",
            tooltip=f"Remove {shown}",
            layout={"width": "auto", "flex": "0 0 auto"},
        )
        html = ipywidgets.HTML(f'<div class="{TEXT_ONLY} mountsea-source">{thumbnails}{text}</div>')
        source = _Source(word, ipywidgets.HBox([html, button]))
        button.on_click(lambda _: self._guard(partial(self._remove, source)))
        answer_while_busy(source.row)
        for other in list(self._sources) if replace else ():
            self._drop(other)
        self._sources.append(source)
        self._update()

    def bind(self, stem: str, value: Any) -> str:
        """Bind an image to a new variable of the user's, and return its name.

        Args:
            stem: What the name begins with.
            value: The image.
        """
        number = 1
        while f"{stem}_{number}" in self._namespace:
            number += 1
        self._namespace[f"{stem}_{number}"] = value
        return f"{stem}_{number}"

    def show_problems(self, problems: Sequence[str]) -> None:
        """Show what is wrong with the images.

        Args:
            problems: The messages.
        """
        self._problems = tuple(problems)
        self._show_note()

    def offer_variables(self) -> None:
        """Offer the variables that have an image now."""
        if not self._offers_variables:
            return
        names = variables_with_images(self._namespace)
        entries = ((CHOOSE if names else NO_VARIABLE), *((name, name) for name in names))
        if entries != tuple(self._variable.options):
            chosen = self._variable.value
            self._variable.options = entries
            self._variable.value = chosen if chosen in names else ""

    def _take_upload(self) -> None:
        """Take uploaded files as variables, so that a cell can use them."""
        files = uploaded_files(self._upload.value)
        if not files:
            return
        refused = []
        for name, content in files:
            try:
                self._add_upload(name, content)
            except InvalidRequest as error:
                refused.append(str(error))
        self._refused = refused
        _empty(self._upload)
        self._show_note()

    def _add_upload(self, name: str, content: bytes) -> None:
        """Bind a file to a new variable; one that is too large for the Hub is scaled down."""
        label = sanitize(name, limit=80) or "the file"
        (url,) = to_urls(content, shrink=True, label=label)
        if len(self._sources) >= MAX_IMAGES:
            raise InvalidRequest(f"{label}: a form has at most {MAX_IMAGES} input images.")
        note = f"({label}, in a variable of this kernel)"
        if len(content) > UPLOAD_BYTES:
            content = base64.b64decode(url.partition(",")[2])
            note = f"({label}, scaled down to fit; in a variable of this kernel)"
        self._append(self.bind("upload", content), [url], note, replace=False)

    def _add_variable(self) -> None:
        """Add the chosen variable."""
        self._refused = []
        try:
            if self._variable.value:
                self.add(self._variable.value)
        except InvalidRequest as error:
            self._refused = [str(error)]
        self._show_note()

    def _remove(self, source: _Source) -> None:
        self._drop(source)
        self._update()

    def _drop(self, source: _Source) -> None:
        if source in self._sources:
            self._sources.remove(source)
            self._list.children = [each.row for each in self._sources]
            close_tree(source.row)

    def _update(self) -> None:
        self._refused = []
        self._list.children = [each.row for each in self._sources]
        self._show_note()
        self._on_change()

    def _count(self, word: str) -> int:
        """Return how many images a word stands for."""
        value = self._namespace.get(word)
        return len(value) if isinstance(value, Generation) else 1

    def _show_note(self) -> None:
        self._note.value = note_html(self._help, [*self._refused, *self._problems])


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
            return sized_element(Preview("image/jpeg", buffer.getvalue(), *small.size), alt)
    return f"<small>{escape_html(alt)}</small>"


def uploaded_files(value: Any) -> list[tuple[str, bytes]]:
    """Return name and content of each uploaded file.

    Args:
        value: The value of a `FileUpload`: a sequence in ipywidgets 8, a mapping in 7.

    Example:
        >>> uploaded_files(({"name": "a.png", "content": memoryview(b"a")},))
        [('a.png', b'a')]
        >>> uploaded_files({"a.png": {"metadata": {"name": "a.png"}, "content": b"a"}})
        [('a.png', b'a')]
    """
    if isinstance(value, Mapping):
        return [(str(name), bytes(file["content"])) for name, file in value.items()]
    return [(str(file["name"]), bytes(file["content"])) for file in value]


def _empty(upload: Any) -> None:
    """Forget what was uploaded: it is not needed twice, and the same file can be chosen again."""
    if isinstance(upload.value, Mapping):
        upload.metadata, upload.data = [], []
        upload._counter = 0
    else:
        upload.value = ()


def variables_with_images(namespace: Mapping[str, Any]) -> list[str]:
    """Return the names of variables that hold an image, the newest first; `_mountsea` leads.

    Args:
        namespace: The user's variables.

    Example:
        >>> variables_with_images({"n": 1, "dog": bytes.fromhex("89504e470d0a1a0a")})
        ['dog']
    """
    names = [
        name
        for name, value in list(namespace.items())
        if (not name.startswith("_") or name == LAST_RESULT) and _holds_image(value)
    ]
    newest_first = names[::-1]
    newest_first.sort(key=lambda name: name != LAST_RESULT)
    return newest_first[:MAX_VARIABLES]


def _holds_image(value: Any) -> bool:
    """Return whether a variable may be an input image; the real check decodes it."""
    if isinstance(value, GeneratedImage):
        return True
    if isinstance(value, bytes | bytearray):
        return sniff(bytes(value[:12])) is not None
    if _is_a(value, "PIL.Image", "Image"):
        return True
    if _is_a(value, "numpy", "ndarray"):
        return value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (1, 3, 4))
    return isinstance(value, Generation) and bool(value.images)


def _is_a(value: Any, module: str, name: str) -> bool:
    """Return whether a value is of a class of a module; without importing it there is no value."""
    # another thread may be in the middle of importing it: then the class is not there yet
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and isinstance(value, found)
