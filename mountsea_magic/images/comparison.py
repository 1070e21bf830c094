"""Two images side by side, such as before and after an edit: fitted, drawn and described."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest
from ..runtime.text import sanitize
from .arrays import as_image
from .contact_sheet import EDGE, INK, PAPER, SHEET_BYTES
from .decoding import displayed_size
from .files import GeneratedImage
from .inputs import open_image
from .previews import NoPreview, Preview, encodings
from .sheet_tiles import EMPTY, EMPTY_INK
from .text_block import lay_out_text
from .thumbnails import Size, fitting_size, thumbnail
from .user_paths import user_path

if TYPE_CHECKING:
    from PIL.Image import Image

FRAME_BYTES = 125_000
"""The largest encoded frame, in bytes: the two of a comparison share the limit of two previews."""

_MIN_PX, _MAX_PX = 256, 768
"""The longest side of the images that are kept; smaller ones are enlarged to be compared."""

_BESIDE_PX = 640
"""The longest side of two images side by side."""

_SMALLEST_PX = 32
"""Images are not made smaller to meet a limit of bytes."""

_WIDE = 1.45
"""From this ratio of width to height two images are one above the other: 3:2 and wider."""

_SHOWN_EMS = 66
"""The width of a notebook's output in font sizes: the whole is shown about 900 pixels wide."""

_MIN_FONT_PX = 14
_LINES = 2
"""How many lines each of the two parts of a caption can have."""

_MIN_CAPTION_EMS = 12
"""The minimum width of a caption, in font sizes: narrow images have wider captions."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two images of a comparison.

    Attributes:
        label: Its name, such as ``before``.
        size: Its original width and height in pixels.
        kind: ``generated image`` or ``demo drawing``, where known.
        prompt: Its whole prompt, where known.
        image: The image, fitted and opaque.
    """

    label: str
    size: Size
    kind: str
    prompt: str
    image: Image

    @property
    def caption(self) -> tuple[str, str]:
        """The label, the size and the kind; and the prompt, which is shortened when drawn."""
        prompt = f"“{sanitize(self.prompt)}”" if self.prompt else ""
        return " · ".join(filter(None, (self.name, self.kind))), prompt

    @property
    def description(self) -> str:
        """The caption with the full prompt, for alt texts."""
        known = f"{self.name}, {self.kind}" if self.kind else self.name
        return f"{known}: {sanitize(self.prompt, limit=1000)}" if self.prompt else known

    @property
    def name(self) -> str:
        """The label and the size."""
        size = f"{self.size[0]}×{self.size[1]}"
        return f"{self.label} · {size}" if self.label else size


class Comparison:
    """Two images side by side; made by `compare`.

    It displays itself as one image, which is there in a saved notebook, on GitHub and on paper. In
    a live notebook a slider follows, which moves the border between the two.

    Example:
        >>> from PIL import Image
        >>> compare(Image.new("RGB", (64, 64)), Image.new("RGB", (96, 64), "teal"))
        <Comparison of before · 64×64 and after · 96×64>
    """

    def __init__(self, before: Side, after: Side) -> None:
        self.before, self.after = before, after

    @property
    def image(self) -> Image:
        """Both images with their captions, as a new Pillow image in RGB."""
        return self._drawn(self._longest_px)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the image with both to a file; never overwrites one.

        Args:
            path: The file, whose suffix is the format, such as ``.png``; or an existing folder.
                `~` and `$VAR` are expanded.

        Returns:
            The path of the file.

        Raises:
            InvalidRequest: If Pillow can't write that format, or the path names an unknown user or
                an unset variable.
            FileExistsError: If the file exists.
        """
        from PIL import Image

        target = user_path(path)
        if target.is_dir():
            target = target / "comparison.png"
        suffix = target.suffix.lower()
        kind = Image.registered_extensions().get(suffix)
        buffer = io.BytesIO()
        try:
            # without a suffix Pillow would look for another sign of the format, and once an image
            # has been saved as SPIDER to memory, older versions take "" for its suffix
            if not (suffix and kind):
                raise ValueError("unknown file extension")
            self.image.save(buffer, kind)
        except (KeyError, OSError, ValueError) as error:
            raise InvalidRequest(
                f"path {sanitize(target.name, limit=120)}: the suffix must be that of an image "
                "format, such as .png or .jpg."
            ) from error
        with target.open("xb") as file:
            file.write(buffer.getvalue())
        return target

    def encode(self, max_bytes: int = SHEET_BYTES) -> Preview:
        """Encode the image with both: first the quality is reduced, then the size.

        The captions are drawn anew, so that they stay readable.

        Args:
            max_bytes: The largest result, in bytes.
        """
        longest_px = self._longest_px
        while True:
            canvas = self._drawn(longest_px)
            for data in encodings(canvas, as_png=False):
                if len(data) <= max_bytes or longest_px <= _SMALLEST_PX:
                    return Preview("image/jpeg", data, *canvas.size)
            longest_px = _smaller(longest_px, len(data), max_bytes)

    def frames(self, max_bytes: int = FRAME_BYTES) -> tuple[Preview, Preview]:
        """Encode both images without captions, in frames of the same size.

        Args:
            max_bytes: The largest frame, in bytes.
        """
        longest_px = max(self.before.image.size)
        while True:
            first, second = self._framed(longest_px)
            for pair in zip(encodings(first, False), encodings(second, False), strict=True):
                size = max(map(len, pair))
                if size <= max_bytes or longest_px <= _SMALLEST_PX:
                    before, after = (Preview("image/jpeg", data, *first.size) for data in pair)
                    return before, after
            longest_px = _smaller(longest_px, size, max_bytes)

    def alt_text(self) -> str:
        """Describe both images in words, with their full prompts."""
        place = "one above the other" if self._is_stacked else "side by side"
        return f"Two images {place}. {self.before.description}. {self.after.description}."

    @property
    def _is_stacked(self) -> bool:
        """Whether both are wide, and so one above the other."""
        return all(side.size[0] >= _WIDE * side.size[1] for side in (self.before, self.after))

    @property
    def _longest_px(self) -> int:
        longest_px = max(self.before.image.size)  # both images have the same longest side
        return longest_px if self._is_stacked else min(longest_px, _BESIDE_PX)

    def _framed(self, longest_px: int) -> tuple[Image, Image]:
        """Fit both into frames of the same size, each in the middle."""
        from PIL import Image

        sides = (self.before.image, self.after.image)
        fitted = [
            image
            if max(image.size) == longest_px
            else image.resize(
                fitting_size(image.size, (longest_px, longest_px)), Image.Resampling.LANCZOS
            )
            for image in sides
        ]
        width, height = (max(image.size[axis] for image in fitted) for axis in (0, 1))
        frames = Image.new("RGB", (width, height), EMPTY), Image.new("RGB", (width, height), EMPTY)
        for frame, image in zip(frames, fitted, strict=True):
            frame.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
        return frames

    def _drawn(self, longest_px: int) -> Image:
        """Draw both with their captions below them, on a light background of its own."""
        from PIL import Image, ImageDraw

        frames = self._framed(longest_px)
        width, height = frames[0].size
        columns = 1 if self._is_stacked else 2
        font_px = max(_MIN_FONT_PX, round(columns * width / _SHOWN_EMS))
        place = max(width, _MIN_CAPTION_EMS * font_px)
        captions = [
            [lay_out_text(text, font_px, width=place, lines=_LINES) for text in side.caption]
            for side in (self.before, self.after)
        ]
        below = font_px // 2 + max(sum(block.height for block in blocks) for blocks in captions)
        step = (0, height + below + font_px) if self._is_stacked else (place + 2 * font_px, 0)
        size = (2 * font_px + place + step[0], 2 * font_px + height + below + step[1])
        canvas = Image.new("RGB", size, PAPER)
        ImageDraw.Draw(canvas).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=EDGE)
        for number, (frame, blocks) in enumerate(zip(frames, captions, strict=True)):
            left, top = (font_px + number * distance for distance in step)
            canvas.paste(frame, (left + (place - width) // 2, top))
            top += height + font_px // 2
            for block, color in zip(blocks, (INK, EMPTY_INK), strict=True):
                block.draw(canvas, (left, top), color, align=0.5, width=place)
                top += block.height
        return canvas

    def _ipython_display_(self) -> None:
        """Show the image with both, and a slider where someone can use it."""
        from ..notebook.comparison_output import show_comparison

        show_comparison(self)

    def __repr__(self) -> str:
        return f"<Comparison of {self.before.name} and {self.after.name}>"


def compare(
    before: Any, after: Any, *, labels: Sequence[object] = ("before", "after")
) -> Comparison:
    """Show two images side by side, such as an image and an edit of it.

    Args:
        before: A generation (its first image), one of its images, a Pillow image, an array, or the
            path of an image file.
        after: The same.
        labels: The name of each; the captions begin with them.

    Returns:
        A comparison. It displays itself as one image with both, and in a live notebook also as a
        slider; it has ``image`` (a Pillow image) and ``save(path)``.

    Raises:
        InvalidRequest: If one is no image, can't be read, or is a generation without images; or if
            there are not two labels.

    Example:
        >>> from PIL import Image
        >>> both = compare(Image.new("RGB", (640, 640), "teal"), Image.new("RGB", (640, 640)))
        >>> both.image.size
        (1356, 712)
    """
    is_pair = isinstance(labels, Sequence) and not isinstance(labels, str | bytes)
    if not is_pair or len(labels) != 2:
        raise InvalidRequest(
            f'labels must be two strings, such as ("before", "after") (got {_kind_of(labels)}).'
        )
    found = [_read(before, "before"), _read(after, "after")]
    longest_px = max(_MIN_PX, min(_MAX_PX, max(max(each.size) for each in found)))
    sides = [
        Side(
            sanitize(label, limit=60),
            each.size,
            each.kind,
            each.prompt,
            _fitted(each.source, longest_px, name),
        )
        for each, label, name in zip(found, labels, ("before", "after"), strict=True)
    ]
    return Comparison(*sides)


@dataclass(frozen=True, slots=True)
class _Found:
    """What an argument of `compare` refers to."""

    source: Path | Image
    size: Size
    kind: str = ""
    prompt: str = ""


def _read(value: Any, name: str) -> _Found:
    """Find the image of an argument."""
    if hasattr(value, "images") and hasattr(value, "task_id"):  # a generation, which is above us
        if not value.images:
            status = sanitize(value.status, limit=40)
            raise InvalidRequest(f"{name}: the generation has no images (its status is {status}).")
        image, count = value.images[0], len(value.images)
        kind = "demo drawing" if value.is_demo else "generated image"
        kind += f" 1 of {count}" if count > 1 else ""
        return _Found(image.path, (image.width, image.height), kind, str(value.prompt))
    if isinstance(value, GeneratedImage):
        return _Found(value.path, (value.width, value.height))
    try:
        is_file = isinstance(value, str | os.PathLike | bytes)
        image = open_image(value) if is_file else as_image(value)
    except InvalidRequest as error:
        raise InvalidRequest(f"{name}: {error}") from error.__cause__
    if image is None:
        raise InvalidRequest(
            f"{name}: expected a generation, an image, a Pillow image, an array or a path (got "
            f"{_kind_of(value)})."
        )
    if 0 in image.size:
        raise InvalidRequest(f"{name}: the image has no pixels.")
    return _Found(image, displayed_size(image))


def _fitted(source: Path | Image, longest_px: int, name: str) -> Image:
    try:
        return thumbnail(source, (longest_px, longest_px))
    except NoPreview as error:
        raise InvalidRequest(f"{name}: {error}.") from error


def _kind_of(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    return sanitize(type(value).__name__, limit=60)


def _smaller(longest_px: int, size: int, max_bytes: int) -> int:
    """Return a smaller side for what is too large when encoded."""
    factor = max(0.3, min(0.9, math.sqrt(max_bytes / size)))
    return max(_SMALLEST_PX, int(longest_px * factor))
