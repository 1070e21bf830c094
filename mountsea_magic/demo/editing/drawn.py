"""Drawing by hand: pencil, crayon, comic, blueprint."""

from __future__ import annotations

import math

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from ..drawing.layers import graded, gray, ramp, soft, toned
from .edit_canvas import EditCanvas, Effect, on
from .painted import PAINT_WORDS, ragged

_PAPER = (250, 246, 236)
_CRAYON_WORDS = "color colored coloured colour colorful colourful crayon pastel"

_HATCHES = (
    (0.9, 178, 0.0085, 0.38),
    (0.75, 118, 0.006, 0.51),
    (-0.7, 76, 0.0055, 0.67),
    (0.3, 48, 0.005, 0.75),
)
"""Layers of strokes: direction in radians, which level is dark enough, gap in units, strength."""


def _pencil(canvas: EditCanvas) -> None:
    """Graphite on paper, or crayons where color is asked for; over paint only the lines."""
    before = canvas.image.copy()
    lines = _contours(before, canvas.unit)
    if canvas.asks(PAINT_WORDS):
        canvas.put(ImageChops.multiply(before, gray(lines)))
        return
    light = soft(ImageOps.autocontrast(before.convert("L"), cutoff=1), 5)
    shade = light.point([round(168 + 87 * (v / 255) ** 0.55) for v in range(256)])
    graphite = ImageChops.multiply(ImageChops.multiply(lines, _hatching(canvas, light)), shade)
    drawn = toned(graphite, "#2b2a30 #8f8b88 #faf6ec")
    if canvas.asks(_CRAYON_WORDS):
        hues = graded(ImageEnhance.Color(soft(before, 3)).enhance(1.6), "#737373 #ffffff")
        drawn = ImageChops.multiply(drawn, hues)
        drawn = ImageChops.multiply(drawn, toned(graphite, "#808080 #ffffff"))
    canvas.put(_PAPER)
    canvas.put(drawn, ragged(canvas, 0.03))
    canvas.grain(9)


def _contours(image: Image.Image, unit: float) -> Image.Image:
    """Lines, dark on white: where a point is darker than what is around it."""
    light = ImageOps.autocontrast(image.convert("L"), cutoff=0.5)
    fine = ImageChops.subtract(light.filter(ImageFilter.BoxBlur(unit * 0.0022)), light, 0.16)
    broad = ImageChops.subtract(soft(light, unit * 0.008), light, 0.42)
    return ImageOps.invert(ImageChops.lighter(fine, broad))


def _hatching(canvas: EditCanvas, light: Image.Image) -> Image.Image:
    """Shade by strokes: the darker a place is, the more layers of them lie there."""
    total = Image.new("L", light.size, 255)
    for angle, limit, gap, strength in _HATCHES:
        strokes = _strokes(canvas, angle, gap * canvas.unit)
        dark = ramp(light, limit, limit - 64, strength)
        total = ImageChops.multiply(total, ImageOps.invert(ImageChops.multiply(strokes, dark)))
    return total.filter(ImageFilter.BoxBlur(0.4))


def _strokes(canvas: EditCanvas, angle: float, gap: float) -> Image.Image:
    """Parallel strokes over the whole canvas, white on black, as even as a hand makes them."""
    rng, unit = canvas.rng, canvas.unit
    layer = Image.new("L", canvas.image.size)
    pen = ImageDraw.Draw(layer)
    across, down = math.cos(angle), math.sin(angle)
    reach = math.hypot(*layer.size) / 2
    aside = -reach
    while aside < reach:
        x, y = layer.width / 2 - down * aside, layer.height / 2 + across * aside
        along = -reach + rng.uniform(0, unit * 0.1)
        while along < reach:
            long, bend = unit * rng.uniform(0.06, 0.2), unit * rng.uniform(-0.003, 0.003)
            end = along + long
            pen.line(
                (
                    x + across * along,
                    y + down * along,
                    x + across * end - down * bend,
                    y + down * end + across * bend,
                ),
                rng.randrange(120, 256),
                max(1, round(unit * 0.0018)),
            )
            along += long * rng.uniform(0.8, 1.05)
        aside += gap * rng.uniform(0.75, 1.25)
    return layer


def _comic(canvas: EditCanvas) -> None:
    """A comic: few flat colors, and black contours."""
    calm = soft(canvas.image, 4).filter(ImageFilter.UnsharpMask(6, 160, 0))
    vivid = ImageEnhance.Color(calm).enhance(1.45)
    few = ImageOps.posterize(ImageEnhance.Contrast(vivid).enhance(1.12), 3)
    lines = ramp(_contours(canvas.image, canvas.unit), 90, 175)
    canvas.put(ImageChops.multiply(Image.blend(few, vivid, 0.25), gray(lines)))


def _blueprint(canvas: EditCanvas) -> None:
    """White lines on blue, with a grid."""
    layer = ImageOps.invert(_contours(canvas.image, canvas.unit))
    grid = Image.new("L", layer.size)
    pen = ImageDraw.Draw(grid)
    for n in range(round(max(layer.size) / canvas.unit * 24) + 1):
        at, tone = round(n * canvas.unit / 24), 62 if n % 4 == 0 else 28
        pen.line((at, 0, at, canvas.height), tone)
        pen.line((0, at, canvas.width, at), tone)
    canvas.put(toned(ImageChops.lighter(layer, grid), "#123f7d #f2f8ff"))
    canvas.grain(6)


DRAWN = (
    Effect(on("comic cartoon toon manga anime ink", "line art", "graphic novel"), _comic),
    Effect(on("blueprint", "technical drawing"), _blueprint),
    Effect(
        on("pencil sketch sketched drawing drawn charcoal crayon graphite hatching chalk"), _pencil
    ),
)
"""What the words for each way of drawing do."""
