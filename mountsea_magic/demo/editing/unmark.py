"""Taking the painter's mark off a picture that is edited again: only one belongs on it."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageFilter, ImageOps, ImageStat

from ...request.catalog import bundled_catalog
from ..drawing.mark import draw_mark

_INK = 185
"""How light, at least, the mark's letters are on average."""

_SMALLEST = 32
"""The side of a picture, in pixels, on which no mark can be read."""

_PANE = 128
"""How light, at most, the pane behind them is on average: its glass is nearly black."""


def lift_mark(picture: Image.Image) -> Image.Image:
    """Take the mark off, if there is one.

    It is looked for where `draw_mark` puts it, so on a picture of unchanged size; also mirrored.

    Args:
        picture: The picture, RGB; it is not changed.

    Returns:
        The picture, or a copy on which what is around the mark was drawn over it.

    Example:
        >>> plain = Image.new("RGB", (512, 512), (90, 120, 60))
        >>> lift_mark(plain) is plain
        True
    """
    box = _find(picture)
    if box is not None:
        return _healed(picture, box)
    mirrored = ImageOps.mirror(picture)
    box = _find(mirrored)
    return picture if box is None else ImageOps.mirror(_healed(mirrored, box))


def _find(picture: Image.Image) -> tuple[int, int, int, int] | None:
    """Compare what is in the corner with each model's mark: light ink on dark glass."""
    if min(picture.size) < _SMALLEST:
        return None
    for model in bundled_catalog():
        box, ink, pane = _stamp(picture.size, model.id)
        light = picture.crop(box).convert("L")
        written, behind = (ImageStat.Stat(light, mask).mean[0] for mask in (ink, pane))
        if written > _INK and behind < _PANE:
            return box
    return None


@lru_cache(maxsize=64)
def _stamp(
    size: tuple[int, int], model: str
) -> tuple[tuple[int, int, int, int], Image.Image, Image.Image]:
    """Where a model's mark would be, and which of its pixels are ink and which are glass."""
    black = Image.new("RGB", size)
    draw_mark(black, model)
    box = black.getbbox()
    assert box is not None
    light = black.crop(box).convert("L")
    ink = light.point([255 if v > 215 else 0 for v in range(256)])
    pane = light.point([255 if 5 < v < 40 else 0 for v in range(256)])
    return box, ink, pane


def _healed(picture: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """Mirror what is above the mark onto it, with a soft edge."""
    left, top, right, bottom = box
    rim = max(4, (bottom - top) // 3)
    left, top = max(0, left - rim), max(0, top - rim)
    right, bottom = min(picture.width, right + rim), min(picture.height, bottom + rim)
    high = min(bottom - top, top)
    if high < 1:
        return picture
    above = picture.crop((left, top - high, right, top)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    patch = above.resize((right - left, bottom - top))
    mask = Image.new("L", patch.size)
    half = rim // 2
    mask.paste(255, (half, half, patch.width - half, patch.height - half))
    healed = picture.copy()
    healed.paste(patch, (left, top), mask.filter(ImageFilter.BoxBlur(half / 2)))
    return healed
