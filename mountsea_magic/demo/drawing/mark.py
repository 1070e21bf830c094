"""The mark in the corner of every demo image, which states that no model made it."""

import math
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFilter, ImageFont

_SMALLEST = 10.0
"""Font size in pixels below which the mark is illegible."""

_FINE = 4
"""How many times larger the pill is drawn before it is reduced, for smooth ends."""

_INK = (250, 250, 252)
_GLASS = (14, 16, 28)


def draw_mark(image: Image.Image, model: str) -> None:
    """Write "demo drawing · not made by {model}" into the lower right corner, on dark glass."""
    width, height = image.size
    size = max(_SMALLEST, 0.0185 * math.sqrt(width * height))
    module = width * 0.94
    lines = [f"demo drawing · not made by {_single_line(model)}"]
    while size > _SMALLEST and _length(lines[0], size) + size * 1.6 > module:
        size = max(_SMALLEST, size * 0.94)
    if _length(lines[0], size) + size * 1.6 > module:
        lines = ["demo drawing", f"not made by {_single_line(model)}"]
    while len(lines[-1]) > 14 and _length(lines[-1], size) + size * 1.6 > module:
        lines[-1] = lines[-1][:-2].rstrip() + "…"
    wide = round(max(_length(line, size) for line in lines) + size * 1.6)
    high = round(size * (0.75 + 1.2 * len(lines)))
    gap = round(min(width, height) * 0.02)
    left, top = max(0, width - wide - gap), height - high - gap
    _lay_glass(image, (left, top, left + wide, top + high))
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=size)
    for row, line in enumerate(lines):
        middle = top + high / 2 + (row - (len(lines) - 1) / 2) * size * 1.2
        pen.text((left + wide / 2, middle), line, font=font, fill=_INK, anchor="mm")


def _single_line(model: str) -> str:
    """Keep the name on one line: a line break in it would break the pane."""
    return " ".join(model.split())


@lru_cache(maxsize=256)
def _length(text: str, size: float) -> float:
    """Measure a line of the mark in pixels; cached, since a font takes a millisecond to load."""
    return ImageFont.load_default(size=size).getlength(text)


def _lay_glass(image: Image.Image, box: tuple[int, int, int, int]) -> None:
    """Darken and blur what lies under the text: legible on light and on dark images."""
    left, top, right, bottom = box
    size = (right - left, bottom - top)
    under = image.crop(box).filter(ImageFilter.GaussianBlur(max(2.0, size[1] * 0.18)))
    pane = Image.blend(under, Image.new("RGB", size, _GLASS), 0.6)
    mask = Image.new("L", (size[0] * _FINE, size[1] * _FINE))
    round_end = size[1] * _FINE / 2
    ImageDraw.Draw(mask).rounded_rectangle(
        (0, 0, mask.width - 1, mask.height - 1), round_end, fill=255
    )
    image.paste(pane, (left, top), mask.resize(size, Image.Resampling.LANCZOS))
