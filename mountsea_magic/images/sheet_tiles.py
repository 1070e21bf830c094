"""What is in one place of a contact sheet: all images of a result, or a note."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .previews import NoPreview
from .text_block import TextBlock, lay_out_text, line_height
from .thumbnails import Size, fitting_size, thumbnail

if TYPE_CHECKING:
    from PIL.Image import Image

EMPTY, EMPTY_INK = (246, 246, 246), (95, 99, 104)
_FAILED, _FAILED_INK = (253, 238, 236), (140, 29, 24)

_SMALLEST_PX = 8
"""Below this side, in pixels, the images of one place are counted instead of drawn."""


def mosaic(images: Sequence[Path | Image], tile: int, font_px: int) -> Image:
    """Draw all images of one place in a square, with hairlines between them.

    Args:
        images: The images, in order, row by row; one that can't be read becomes a note.
        tile: The side of the square in pixels.
        font_px: The size of the notes' font in pixels.

    Raises:
        KeyboardInterrupt: If interrupted while an image is decoded.

    Example:
        >>> from PIL import Image
        >>> mosaic([Image.new("RGB", (160, 90))] * 4, 128, 12).size
        (128, 128)
    """
    from PIL import Image

    most = max(1, tile // _SMALLEST_PX) ** 2
    shown = images if len(images) <= most else images[: max(1, most - 1)]
    parts = [_thumbnail(source, (tile, tile)) for source in shown]
    if len(shown) < len(images):
        parts.append(f"+{len(images) - len(shown):,}")
    sizes = [part.size for part in parts if isinstance(part, Image.Image)]
    columns = _best_columns(len(parts), sizes, tile)
    rows, hairline = math.ceil(len(parts) / columns), 1 if tile < 128 else 2
    width, height = (max(1, (tile + hairline) // count - hairline) for count in (columns, rows))
    box = (width, height)
    fitted = [fitting_size(size, box) for size in sizes] or [box]
    cell = max(width for width, _ in fitted), max(height for _, height in fitted)
    pitch = cell[0] + hairline, cell[1] + hairline
    drawn = Image.new("RGB", (tile, tile), EMPTY)
    for number, part in enumerate(parts):
        if isinstance(part, str):
            part = draw_note(part, cell, font_px, failed=number < len(shown))
        elif len(parts) > 1:
            part = part.resize(fitting_size(part.size, box), Image.Resampling.LANCZOS)
        row, column = divmod(number, columns)
        # the block of all cells is centered in the square, and each part in its cell
        left = (tile + hairline - columns * pitch[0] + cell[0] - part.width) // 2
        top = (tile + hairline - rows * pitch[1] + cell[1] - part.height) // 2
        drawn.paste(part, (left + column * pitch[0], top + row * pitch[1]))
    return drawn


def _thumbnail(source: Path | Image, box: Size) -> Image | str:
    """Return the thumbnail, or the reason why there is none."""
    try:
        return thumbnail(source, box)
    except NoPreview as error:
        return f"Not shown: {error}"


def _best_columns(count: int, sizes: Sequence[Size], tile: int) -> int:
    """Return with how many columns the images cover most of the square; the squarer of equals."""

    def covered(columns: int) -> tuple[float, int]:
        rows = math.ceil(count / columns)
        box = (max(1, tile // columns), max(1, tile // rows))
        fitted = (fitting_size(size, box) for size in sizes or [(1, 1)])
        return sum(width * height for width, height in fitted), -abs(columns - rows)

    return max(range(1, count + 1), key=covered)


@lru_cache(maxsize=16)
def draw_note(note: str, size: Size, font_px: int, *, failed: bool = False) -> Image:
    """Draw a note in a frame: a solid one and a cross for a failure, else a dashed one.

    Args:
        note: Any text; it is sanitized, wrapped and shortened. Left out where there is no room.
        size: Width and height in pixels.
        font_px: The font's size in pixels.
        failed: Whether the note is about a failure.

    Returns:
        An image that is shared, and must not be changed: many places have the same note.

    Example:
        >>> draw_note("waiting", (96, 96), 12).size
        (96, 96)
    """
    from PIL import Image, ImageDraw

    width, height = size
    paper, ink = (_FAILED, _FAILED_INK) if failed else (EMPTY, EMPTY_INK)
    drawn = Image.new("RGB", size, paper)
    pen = ImageDraw.Draw(drawn)
    _frame(drawn, ink, dash=0 if failed else font_px // 2)
    cross = max(3, min(font_px, width // 3, height // 3)) if failed else 0
    padding = max(2, font_px // 2)
    lines = (height - 2 * padding - 2 * cross) // line_height(font_px)
    text = TextBlock((), font_px)
    if note and lines > 0 and width >= 4 * font_px:
        text = lay_out_text(note, font_px, width=width - 2 * padding, lines=lines)
    gap = cross // 2 if text.lines else 0
    top = (height - cross - gap - text.height) // 2
    if cross:
        left, right = (width - cross) // 2, (width + cross) // 2
        stroke = max(1, cross // 6)
        pen.line((left, top, right, top + cross), ink, stroke)
        pen.line((left, top + cross, right, top), ink, stroke)
    text.draw(drawn, (padding, top + cross + gap), ink, align=0.5, width=width - 2 * padding)
    return drawn


def _frame(drawn: Image, ink: tuple[int, int, int], dash: int) -> None:
    """Draw a frame at the edge; of dashes, if they have a length."""
    from PIL import ImageDraw

    pen, right, bottom = ImageDraw.Draw(drawn), drawn.width - 1, drawn.height - 1
    if not dash:
        pen.rectangle((0, 0, right, bottom), outline=ink)
        return
    for start in range(0, max(right, bottom), 2 * dash):
        for y in (0, bottom):
            pen.line((start, y, min(right, start + dash), y), ink)
        for x in (0, right):
            pen.line((x, start, x, min(bottom, start + dash)), ink)
