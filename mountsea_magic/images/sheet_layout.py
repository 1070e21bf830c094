"""The layout of a contact sheet: how large its tiles are, and where they and their labels go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .text_block import TextBlock, lay_out_text, line_height

MAX_SIDE_PX = 4096
"""The longest side of a sheet, in pixels; larger tiles are made smaller."""

MAX_SHEET_PIXELS = 12_000_000
"""The largest sheet, in pixels."""

MAX_TRACKS = 1000
"""The maximum of rows, and of columns."""

_MIN_FONT_PX, _MAX_FONT_PX = 12, 32
_SHOWN_EMS = 80
"""The width of a sheet in font sizes: a notebook shows it about 900 pixels wide."""

_LABEL_EMS = 14
"""How long the labels of rows, and the turned ones of columns, can be, in font sizes."""

_MAX_LINES = 3
"""How many lines a label can have."""

_WRAP_COLUMNS = 6
_MAX_WRAPPED = 240
"""Up to so many items are wrapped after `_WRAP_COLUMNS`: more rows would be too low to read."""


@dataclass(frozen=True, slots=True)
class SheetTexts:
    """The labels of a sheet, as they were given.

    Attributes:
        rows: The labels of the rows, or nothing.
        columns: The labels of the columns, or nothing.
        places: The labels of the places, row by row, or nothing.
    """

    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    places: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SheetLayout:
    """Sizes and positions in a sheet, in pixels.

    Attributes:
        tile: The side of a place's square.
        font_px: The font's size of the labels of rows and columns.
        small_px: The font's size of notes, and of the labels of places.
        gap: The distance between two places.
        margin: The empty space around all.
        left: The width of the labels of the rows, with their distance to the tiles.
        top: The height of the labels of the columns, with their distance to the tiles.
        below: The height of the label below each tile, with its distance.
        turned: Whether the labels of the columns are turned by 90°, to be read upwards.
        size: Width and height of the sheet.
        rows: The labels of the rows.
        columns: The labels of the columns.
        places: The labels of the places.
    """

    tile: int
    font_px: int
    small_px: int
    gap: int
    margin: int
    left: int
    top: int
    below: int
    turned: bool
    size: tuple[int, int]
    rows: tuple[TextBlock, ...]
    columns: tuple[TextBlock, ...]
    places: tuple[TextBlock, ...]

    def place(self, row: int, column: int) -> tuple[int, int]:
        """Return the left and top of a tile.

        Args:
            row: From 0.
            column: From 0.
        """
        left = self.margin + self.left + column * (self.tile + self.gap)
        return left, self.margin + self.top + row * (self.tile + self.below + self.gap)


def wrapped_columns(count: int) -> int:
    """Return how many columns a sheet of one axis has: six, and more for very many items.

    Args:
        count: How many items there are.

    Example:
        >>> wrapped_columns(4), wrapped_columns(40), wrapped_columns(1000)
        (4, 6, 32)
    """
    return min(count, _WRAP_COLUMNS) if count <= _MAX_WRAPPED else math.isqrt(count - 1) + 1


def lay_out(
    rows: int, columns: int, texts: SheetTexts, *, tile: int, max_pixels: int = MAX_SHEET_PIXELS
) -> SheetLayout:
    """Lay out a sheet with the largest tiles that keep it within the limits.

    Args:
        rows: How many rows there are.
        columns: How many columns there are.
        texts: The labels.
        tile: The largest side of a tile, in pixels.
        max_pixels: The largest sheet, in pixels.

    Example:
        >>> lay_out(1, 2, SheetTexts(), tile=100).size
        (227, 124)
    """
    least, most = 1, tile
    while least < most:
        middle = (least + most + 1) // 2
        width, height = _lay_out(rows, columns, texts, middle).size
        if max(width, height) <= MAX_SIDE_PX and width * height <= max_pixels:
            least = middle
        else:
            most = middle - 1
    return _lay_out(rows, columns, texts, least)


def _lay_out(rows: int, columns: int, texts: SheetTexts, tile: int) -> SheetLayout:
    """Lay out a sheet with tiles of a given size."""
    small_px = max(_MIN_FONT_PX, min(_MAX_FONT_PX, round(tile / 15)))
    gap = max(1, round(tile / 32))
    one_line = int((tile + gap) / line_height(100) * 100)
    font_px = max(small_px, min(_MAX_FONT_PX, one_line, columns * tile // _SHOWN_EMS))
    row_labels = _side_labels(texts.rows, font_px, tile + gap)
    column_labels, turned = _top_labels(texts.columns, font_px, tile, gap)
    place_labels = tuple(
        lay_out_text(text, small_px, width=tile, lines=_MAX_LINES, keep_end=True)
        for text in texts.places
    )
    padding = font_px // 2
    left = max((block.width for block in row_labels), default=-padding) + padding
    lengths = [block.width if turned else block.height for block in column_labels]
    top = max(lengths, default=-padding) + padding
    below = max((block.height + small_px // 4 for block in place_labels), default=0)
    margin = font_px
    width = 2 * margin + left + columns * (tile + gap) - gap
    height = 2 * margin + top + rows * (tile + below + gap) - gap
    return SheetLayout(
        *(tile, font_px, small_px, gap, margin, left, top, below, turned, (width, height)),
        *(row_labels, column_labels, place_labels),
    )


def _side_labels(texts: Sequence[str], font_px: int, pitch: int) -> tuple[TextBlock, ...]:
    """Lay out labels that stand in a stack, each as high as its track allows.

    Where tracks are lower than a line, only every second, third… has a label, ended by an ellipsis.
    """
    lines = max(1, min(_MAX_LINES, pitch // line_height(font_px)))
    step = math.ceil(line_height(font_px) / pitch) if len(texts) > 1 else 1
    blocks = [
        lay_out_text(
            text + "…" * (step > 1), font_px, width=_LABEL_EMS * font_px, lines=lines, keep_end=True
        )
        if number % step == 0
        else TextBlock((), font_px, shortened=True)
        for number, text in enumerate(texts)
    ]
    return tuple(blocks)


def _top_labels(
    texts: Sequence[str], font_px: int, tile: int, gap: int
) -> tuple[tuple[TextBlock, ...], bool]:
    """Lay out the labels of the columns, turned if the columns are too narrow for them."""
    blocks = tuple(
        lay_out_text(text, font_px, width=tile, lines=_MAX_LINES, keep_end=True) for text in texts
    )
    if tile >= _LABEL_EMS * font_px or not any(b.shortened or b.divided for b in blocks):
        return blocks, False
    return _side_labels(texts, font_px, tile + gap), True
