"""Remove the painter's mark from an image that is edited again: it gets a new one."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageFilter, ImageOps, ImageStat

from ...request.catalog import bundled_catalog
from ..drawing.mark import draw_mark

_INK = 185
"""How light, at least, the mark's letters are on average."""

_SMALLEST = 32
"""The side of an image, in pixels, on which no mark can be read."""

_PANE = 128
"""How light, at most, the pane behind them is on average: its glass is nearly black."""


def lift_mark(image: Image.Image) -> Image.Image:
    """Take the mark off, if there is one where `draw_mark` puts it or its mirror image."""
    box = _find(image)
    if box is not None:
        return _healed(image, box)
    mirrored = ImageOps.mirror(image)
    box = _find(mirrored)
    return image if box is None else ImageOps.mirror(_healed(mirrored, box))


def _find(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Compare what is in the corner with each model's mark: light ink on dark glass."""
    if min(image.size) < _SMALLEST:
        return None
    for model in bundled_catalog():
        box, ink, pane = _stamp(image.size, model.id)
        light = image.crop(box).convert("L")
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


def _healed(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """Mirror what is above the mark onto it, with a soft edge."""
    left, top, right, bottom = box
    rim = max(4, (bottom - top) // 3)
    left, top = max(0, left - rim), max(0, top - rim)
    right, bottom = min(image.width, right + rim), min(image.height, bottom + rim)
    high = min(bottom - top, top)
    if high < 1:
        return image
    above = image.crop((left, top - high, right, top)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    patch = above.resize((right - left, bottom - top))
    mask = Image.new("L", patch.size)
    half = rim // 2
    mask.paste(255, (half, half, patch.width - half, patch.height - half))
    healed = image.copy()
    healed.paste(patch, (left, top), mask.filter(ImageFilter.BoxBlur(half / 2)))
    return healed
