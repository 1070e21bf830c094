"""Contact sheets: many images on one, each in its place, with labels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest
from ..runtime.text import sanitize
from .arrays import as_image
from .files import GeneratedImage
from .previews import Preview, encodings
from .sheet_layout import (
    MAX_SHEET_PIXELS,
    MAX_TRACKS,
    SheetTexts,
    lay_out,
    wrapped_columns,
)
from .sheet_tiles import draw_note, mosaic
from .text_block import TextBlock

if TYPE_CHECKING:
    from PIL.Image import Image

SHEET_BYTES = 400_000
"""The largest encoded sheet, in bytes; base64 adds a third in the notebook."""

MIN_TILE_PX, MAX_TILE_PX = 16, 2048

_HOPELESS = 2.5
"""If an encoding exceeds the limit so many times, less quality is not enough."""

PAPER, INK = (255, 255, 255), (32, 33, 36)
EDGE = (208, 208, 208)
"""The hairline around the sheet: it is a card in a dark theme, and on paper."""


@dataclass(frozen=True, slots=True)
class Tile:
    """What is in one place of a contact sheet.

    Attributes:
        images: All images of the place: files, or Pillow images.
        note: What is written in the place if there are no images, such as ``waiting``, or the
            reason of a failure.
        failed: Whether the note is about a failure; it is marked by a cross.
    """

    images: tuple[Path | Image, ...] = ()
    note: str = ""
    failed: bool = False


class ContactSheet:
    """A contact sheet that can be filled place by place.

    Only the thumbnails are kept, so that drawing it again costs little. It has its own light
    background, for dark themes and for paper. One thread may fill it while another encodes it.

    Args:
        rows: How many rows there are.
        columns: How many columns there are.
        row_labels: The labels of the rows, or nothing.
        column_labels: The labels of the columns, or nothing.
        labels: The labels of the places, row by row, or nothing.
        tile: The longest side of each image in pixels; smaller where the sheet would be too large.
        max_pixels: The largest sheet, in pixels.

    Raises:
        InvalidRequest: If it has no place, or more rows or columns than can be drawn.

    Example:
        >>> from PIL import Image
        >>> sheet = ContactSheet(1, 2, column_labels=("teal", "none"), tile=64)
        >>> sheet.put(0, 0, Tile((Image.new("RGB", (40, 30), "teal"),)))
        >>> sheet.put(0, 1, Tile(note="refused", failed=True))
        >>> sheet.render().size
        (154, 110)
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        *,
        row_labels: Sequence[str] = (),
        column_labels: Sequence[str] = (),
        labels: Sequence[str] = (),
        tile: int = 256,
        max_pixels: int = MAX_SHEET_PIXELS,
    ) -> None:
        from PIL import Image

        if not (1 <= rows <= MAX_TRACKS and 1 <= columns <= MAX_TRACKS):
            raise InvalidRequest(
                f"A contact sheet has 1 to {MAX_TRACKS:,} rows and columns (got {rows:,} rows and "
                f"{columns:,} columns)."
            )
        self.rows, self.columns = rows, columns
        self._texts = SheetTexts(row_labels, column_labels, labels)
        self._layout = lay_out(rows, columns, self._texts, tile=tile, max_pixels=max_pixels)
        self._notes: dict[tuple[int, int], Tile] = {}
        self._filled: set[tuple[int, int]] = set()
        self._encoded_layout = self._layout
        self._canvas = Image.new("RGB", self._layout.size, PAPER)
        self._draw_labels()

    @property
    def tile(self) -> int:
        """The longest side of each image in pixels."""
        return self._layout.tile

    def put(self, row: int, column: int, tile: Tile) -> None:
        """Draw one place anew; an image that can't be read becomes a note.

        Args:
            row: From 0.
            column: From 0.
            tile: What is drawn.

        Raises:
            KeyboardInterrupt: If interrupted while an image is decoded.
        """
        where = (row, column)
        if tile.images:
            drawn = mosaic(tile.images, self.tile, self._layout.small_px)
            self._notes.pop(where, None)
        else:
            size = (self.tile, self.tile)
            drawn = draw_note(tile.note, size, self._layout.small_px, failed=tile.failed)
            self._notes[where] = tile
        self._filled.add(where)
        self._canvas.paste(drawn, self._layout.place(row, column))

    def render(self) -> Image:
        """Return the sheet as it is now, an RGB image of its own."""
        return self._canvas.copy()

    def encode(self, max_bytes: int = SHEET_BYTES) -> Preview:
        """Encode the sheet: first the quality is reduced, then the size of the tiles.

        The labels are drawn anew, so that they stay readable. While a sheet is filled, its encoded
        tiles never become larger again, which saves attempts.

        Args:
            max_bytes: The largest result, in bytes.
        """
        tile = self._encoded_layout.tile
        sheet = self if tile == self.tile else self._with_tile(tile)
        canvas = sheet._canvas
        while True:
            for data in encodings(canvas, as_png=False):
                if len(data) <= max_bytes or max(canvas.size) <= MIN_TILE_PX:
                    self._encoded_layout = sheet._layout
                    return Preview("image/jpeg", data, *canvas.size)
                if len(data) > _HOPELESS * max_bytes:
                    break
            factor = max(0.3, min(0.95, math.sqrt(max_bytes / len(data))))
            if sheet.tile > MIN_TILE_PX:
                sheet = self._with_tile(max(MIN_TILE_PX, int(sheet.tile * factor)))
                canvas = sheet._canvas
            else:
                width, height = (max(1, int(side * factor)) for side in canvas.size)
                canvas = canvas.resize((width, height), reducing_gap=2.0)

    def alt_text(self, limit: int = 2000) -> str:
        """Describe the sheet in words, with the full text of labels that are shortened in it.

        It describes the sheet as it was last encoded, if it was.

        Args:
            limit: The longest text, in characters. Where not all labels fit, those that are shown
                in full are left out.
        """
        count = f"{self.rows} × {self.columns}"
        for only_shortened in (False, True):
            text = " ".join([f"Contact sheet, {count}.", *self._descriptions(only_shortened)])
            if len(text) <= limit:
                return text
        return text[: limit - 1] + "…"

    def _descriptions(self, only_shortened: bool) -> Iterator[str]:
        """Describe labels and failures, a sentence for each kind."""
        layout, texts, notes = self._encoded_layout, self._texts, self._notes.copy()
        for name, blocks, labels in (
            ("Columns", layout.columns, texts.columns),
            ("Rows", layout.rows, texts.rows),
            ("Images", layout.places, texts.places),
        ):
            listed = [
                f"{number}: {sanitize(label, limit=1000)}"
                for number, (block, label) in enumerate(zip(blocks, labels, strict=True), 1)
                if block.shortened or not only_shortened
            ]
            if listed:
                yield f"{name}: {'; '.join(listed)}."
        failed = [
            f"row {row + 1}, column {column + 1}: {sanitize(tile.note, limit=1000)}"
            for (row, column), tile in sorted(notes.items(), key=lambda item: item[0])
            if tile.failed
        ]
        if failed:
            yield f"Failed: {'; '.join(failed).removesuffix('.')}."
        others = Counter(sanitize(tile.note) for tile in notes.values() if not tile.failed)
        for note, count in others.items():
            if note:
                yield f"{count:,} {note.removesuffix('.')}."

    def _with_tile(self, tile: int) -> ContactSheet:
        """Make the same sheet with smaller tiles, from its thumbnails."""
        from PIL.Image import Resampling

        smaller = ContactSheet(
            *(self.rows, self.columns),
            row_labels=self._texts.rows,
            column_labels=self._texts.columns,
            labels=self._texts.places,
            tile=tile,
        )
        for where in tuple(self._filled):
            note = self._notes.get(where)
            if note is not None:
                smaller.put(*where, note)
                continue
            left, top = self._layout.place(*where)
            part = self._canvas.crop((left, top, left + self.tile, top + self.tile))
            part = part.resize((tile, tile), Resampling.LANCZOS, reducing_gap=2.0)
            smaller._canvas.paste(part, smaller._layout.place(*where))
        return smaller

    def _draw_labels(self) -> None:
        from PIL import ImageDraw

        layout, canvas, padding = self._layout, self._canvas, self._layout.font_px // 2
        width, height = layout.size
        ImageDraw.Draw(canvas).rectangle((0, 0, width - 1, height - 1), outline=EDGE)
        for row, block in enumerate(layout.rows):
            middle = layout.place(row, 0)[1] + (layout.tile - block.height) // 2
            at = (layout.margin, max(0, middle))
            block.draw(canvas, at, INK, align=1, width=layout.left - padding)
        for column, block in enumerate(layout.columns):
            left, bottom = layout.place(0, column)[0], layout.margin + layout.top - padding
            if layout.turned:
                turned = _turned(block)
                middle = left + (layout.tile - turned.width) // 2
                canvas.paste(turned, (max(0, middle), bottom - turned.height))
            else:
                at = (left, bottom - block.height)
                block.draw(canvas, at, INK, align=0.5, width=layout.tile)
        for number, block in enumerate(layout.places):
            left, top = layout.place(*divmod(number, self.columns))
            at = (left, top + layout.tile + layout.small_px // 4)
            block.draw(canvas, at, INK, align=0.5, width=layout.tile)


def contact_sheet(
    items: Iterable[Any],
    columns: int | None = None,
    labels: Iterable[object] | None = None,
    tile: int = 256,
) -> Image:
    """Draw many images on one, each in its place.

    Args:
        items: Generations, images of them, Pillow images or arrays. All images of a generation
            are in its place; a failed one shows the reason, one that still runs its status.
        columns: How many columns there are; at most six by default, more for above 240 items.
        labels: A text for each item, written below it; long ones are wrapped and shortened.
        tile: The longest side of each image in pixels, 16 to 2048; smaller where the sheet would
            exceed 4096 pixels a side or 12 million in all.

    Returns:
        A new RGB image.

    Raises:
        InvalidRequest: If there are no items, one of them is no image, there is not one label for
            each, or `columns` or `tile` is out of range.

    Example:
        >>> from PIL import Image
        >>> reds = [Image.new("RGB", (160, 90), (level, 0, 0)) for level in (80, 160, 240)]
        >>> contact_sheet(reds, labels=["dark", "red", "light"], tile=96).size
        (318, 139)
    """
    tiles = [_tile_of(item, f"item {at}") for at, item in enumerate(_listed(items, "items"), 1)]
    if not tiles:
        raise InvalidRequest("A contact sheet needs at least one item.")
    texts = [sanitize(label) for label in _listed(labels, "labels")] if labels is not None else []
    if labels is not None and len(texts) != len(tiles):
        raise InvalidRequest(
            f"There must be one label for each item (got {len(texts):,} labels for "
            f"{len(tiles):,} items)."
        )
    width = wrapped_columns(len(tiles))
    if columns is not None:
        width = min(len(tiles), _whole_number(columns, "columns", 1, MAX_TRACKS))
    sheet = ContactSheet(
        *(math.ceil(len(tiles) / width), width),
        labels=texts,
        tile=_whole_number(tile, "tile", MIN_TILE_PX, MAX_TILE_PX),
    )
    for number, drawn in enumerate(tiles):
        sheet.put(*divmod(number, width), drawn)
    return sheet.render()


def _listed(values: Any, name: str) -> list[Any]:
    """List an iterable, but not the characters of a text."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        kind = sanitize(type(values).__name__, limit=60)
        raise InvalidRequest(f"{name} must be a list or another iterable (got {kind}).")
    return list(values)


def _whole_number(value: object, name: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        shown = sanitize(repr(value), limit=60)
        raise InvalidRequest(f"{name} must be a whole number from {least} to {most} (got {shown}).")
    return value


def _tile_of(item: Any, label: str) -> Tile:
    """Return what is drawn for an item: an image, several of them, or a generation."""
    if hasattr(item, "images") and hasattr(item, "task_id"):  # a generation, which is above us
        if item.images:
            return Tile(tuple(image.path for image in item.images))
        error = item.error
        return Tile(note=str(error or item.status), failed=error is not None)
    if isinstance(item, list | tuple):
        return Tile(tuple(_image_of(image, label) for image in item), note="no images")
    return Tile((_image_of(item, label),))


def _image_of(value: Any, label: str) -> Path | Image:
    if isinstance(value, GeneratedImage):
        return value.path
    if isinstance(value, Path):
        return value
    try:
        image = as_image(value)
    except InvalidRequest as error:
        raise InvalidRequest(f"{label}: {error}") from error.__cause__
    if image is None:
        kind = sanitize(type(value).__name__, limit=60)
        raise InvalidRequest(
            f"{label}: expected a generation, an image, a Pillow image or an array (got {kind})."
        )
    return image


def _turned(block: TextBlock) -> Image:
    """Draw a text that is read upwards."""
    from PIL import Image

    drawn = Image.new("RGB", (max(1, block.width), max(1, block.height)), PAPER)
    block.draw(drawn, (0, 0), INK)
    return drawn.transpose(Image.Transpose.ROTATE_90)
