"""Colors that the prompt names: the whole image, or its sky, takes them on."""

from __future__ import annotations

from itertools import zip_longest

from PIL import Image, ImageChops, ImageOps

from ..drawing.layers import graded, ramp, soft
from ..drawing.palettes import Color, color, lit
from ..drawing.words import COLORS
from .edit_canvas import EditCanvas, Effect, on

_WHOLE = (
    " and or but in on at with as like all now please instead everywhere everything tone tint hue"
    " color colour filter light version style sky background picture image photo "
)
"""What may follow the color of a whole image; a red hat makes no red image."""

_BOW = tuple(
    color(code)
    for code in ("#dd3b3b", "#f08a35", "#f5d34a", "#4fbf5f", "#31b5c4", "#3f6fd8", "#5b3fa8")
)


def _named_colors(instructions: str) -> list[Color]:
    """List at most two colors that a prompt wants for the image, in their order."""
    words = instructions.replace(" black and white ", " ").replace(" black white ", " ").split()
    found = [
        COLORS[word]
        for word, after in zip_longest(words, words[1:], fillvalue="")
        if word in COLORS and word not in ("gray", "grey")
        if not after or after in COLORS or f" {after} " in _WHOLE
    ]
    return list(dict.fromkeys(found))[:2]


def _tint(canvas: EditCanvas) -> None:
    """Replace all colors by one, or by two from dark to light; the lightness stays."""
    colors = _named_colors(canvas.instructions)
    low, high = colors[0], colors[-1]
    light = ImageOps.autocontrast(canvas.image.convert("L"), cutoff=0.5)
    if len(colors) == 1:
        tinted = ImageOps.colorize(light, lit(low, -0.82), lit(low, 0.86), mid=low)
    else:
        dark = ImageOps.colorize(light, lit(low, -0.45), lit(high, 0.5), mid=low)
        tinted = Image.blend(dark, ImageOps.colorize(light, low, high, mid=low), 0.5)
    where = canvas.sky if canvas.asks("sky") else None
    canvas.put(tinted, ramp(where or Image.new("L", light.size, 255), 0, 255, 0.74))


def _rainbow(canvas: EditCanvas) -> None:
    """A rainbow, behind what stands before the sky."""
    bow = EditCanvas(
        Image.new("RGB", (canvas.width // 2 + 1, canvas.height // 2 + 1)), "", canvas.rng
    )
    x, radius = bow.width * bow.rng.uniform(0.3, 0.7), bow.unit * bow.rng.uniform(0.5, 0.6)
    ground = canvas.sky.getbbox() if canvas.sky else None
    y = ground[3] / 2 if ground else bow.height * 0.7
    for n, tone in enumerate((*_BOW, (0, 0, 0))):
        bow.dot(x, y, radius - n * bow.unit * 0.014, tone)
    hazy = soft(bow.image, bow.unit * 0.006).resize(canvas.image.size)
    canvas.put(ImageChops.screen(canvas.image, graded(hazy, "#000000 #9e9e9e")), canvas.sky)


COLORING = (
    Effect(lambda canvas: bool(_named_colors(canvas.instructions)), _tint),
    Effect(on("rainbow"), _rainbow),
)
"""What named colors do."""
