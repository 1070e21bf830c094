"""Painting: watercolor that runs, and oil in strokes along the contours."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter

from ..drawing.canvas import Point
from ..drawing.layers import graded, gray, ramp, soft
from .edit_canvas import EditCanvas, Effect, on

_WET_WORDS = "watercolor watercolour aquarelle gouache"
_OIL_WORDS = "oil painting painted acrylic impressionist impressionism brushstroke monet gogh"

PAINT_WORDS = f"{_WET_WORDS} {_OIL_WORDS}"
"""The words for all kinds of paint."""

_BRUSHES = ((0.024, 0.021, 0), (0.013, 0.0105, 8), (0.008, 0.006, 22), (0.0056, 0.0036, 46))
"""From broad to fine: gap between strokes and width in units, and how much must happen there."""


def _watercolor(canvas: EditCanvas) -> None:
    """Colors run into pale pools with dark rims, and leave the paper's edge free."""
    unit = canvas.unit / 2
    small = canvas.image.reduce(2)
    pools = small.filter(ImageFilter.ModeFilter(5)).filter(ImageFilter.BoxBlur(unit * 0.002))
    pools = pools.filter(ImageFilter.UnsharpMask(unit * 0.006, 120, 0))
    rims = pools.convert("L").filter(ImageFilter.FIND_EDGES)
    rims = rims.point([255 - min(90, v * 2) for v in range(256)]).filter(ImageFilter.BoxBlur(1))
    ImageDraw.Draw(rims).rectangle((0, 0, rims.width - 1, rims.height - 1), outline=255, width=4)
    pools = ImageChops.multiply(ImageEnhance.Color(pools).enhance(1.3), gray(rims))
    wash = graded(pools.resize(canvas.image.size, Image.Resampling.BICUBIC), "#333333 #ffffff")
    blooms = canvas.texture(4, 5).point([min(255, 150 + round(v * 0.62)) for v in range(256)])
    canvas.put((253, 250, 243))
    canvas.put(wash, ImageChops.multiply(ragged(canvas, 0.045), blooms))
    canvas.grain(11)


def ragged(canvas: EditCanvas, margin: float) -> Image.Image:
    """Make a mask with uneven edges: hands do not work up to the border of the paper."""
    gap = canvas.unit * margin
    mask = Image.new("L", canvas.image.size)
    ImageDraw.Draw(mask).rectangle((gap, gap, canvas.width - gap, canvas.height - gap), fill=255)
    return ramp(Image.blend(soft(mask, gap * 0.8), canvas.texture(16, 3), 0.3), 112, 154)


def _oil(canvas: EditCanvas) -> None:
    """Broad strokes first, and fine ones where much happens; then relief, and the canvas."""
    before = ImageEnhance.Color(canvas.image).enhance(1.3)
    canvas.put(soft(before, canvas.unit * 0.01))
    for gap, width, least in _BRUSHES:
        _brush(canvas, before, gap * canvas.unit, width * canvas.unit, least)
    relief = canvas.image.convert("L").filter(ImageFilter.EMBOSS)
    relief = Image.blend(Image.new("L", relief.size, 128), relief, 0.55)
    canvas.put(ImageChops.overlay(canvas.image, gray(relief)))
    weave = canvas.texture(120, 1).point([96 + v // 4 for v in range(256)])
    canvas.put(ImageChops.soft_light(canvas.image, gray(weave)))


def _brush(canvas: EditCanvas, before: Image.Image, gap: float, width: float, least: int) -> None:
    """One layer of strokes, in any order, each in the color of its place."""
    rng = canvas.rng
    size = (max(2, round(canvas.width / gap)), max(2, round(canvas.height / gap)))
    small = before.resize(size, Image.Resampling.BOX)
    colors = small.tobytes()
    light = small.convert("L").filter(ImageFilter.GaussianBlur(1.2)).tobytes()
    swirl = canvas.noise(3, 2).resize(size).tobytes()
    edges = before.convert("L").filter(ImageFilter.FIND_EDGES).resize(size, Image.Resampling.BOX)
    busy = edges.filter(ImageFilter.BoxBlur(1)).tobytes()
    places = [place for place in range(size[0] * size[1]) if busy[place] >= least]
    rng.shuffle(places)
    for place in places:
        x, y = place % size[0], place // size[0]
        slope = _slope(light, size, x, y)
        flat = abs(slope[0]) + abs(slope[1]) <= 5
        angle = swirl[place] / 40 if flat else math.atan2(slope[0], -slope[1])
        shade = rng.randrange(-12, 13)
        red, green, blue = (
            max(0, min(255, level + shade)) for level in colors[3 * place : 3 * place + 3]
        )
        middle = ((x + rng.random()) * gap, (y + rng.random()) * gap)
        outline = _stroke(middle, angle, width * rng.uniform(0.8, 1.5), width)
        canvas.draw.polygon(outline, fill=(red, green, blue))


def _slope(light: bytes, size: tuple[int, int], x: int, y: int) -> Point:
    """How much lighter it gets to the right and downwards: strokes run across that."""
    row, right, low = y * size[0], min(x + 1, size[0] - 1), min(y + 1, size[1] - 1)
    across = light[row + right] - light[row + max(0, x - 1)]
    return across, light[low * size[0] + x] - light[max(0, y - 1) * size[0] + x]


def _stroke(middle: Point, angle: float, half: float, width: float) -> Sequence[Point]:
    """The outline of one stroke, pointed at both ends."""
    x, y = middle
    ax, ay = math.cos(angle) * half, math.sin(angle) * half
    bx, by = ax * 0.6, ay * 0.6
    nx, ny = -ay / half * width / 2, ax / half * width / 2
    return (
        (x - ax, y - ay),
        (x - bx + nx, y - by + ny),
        (x + bx + nx, y + by + ny),
        (x + ax, y + ay),
        (x + bx - nx, y + by - ny),
        (x - bx - nx, y - by - ny),
    )


PAINTED = (Effect(on(_OIL_WORDS), _oil), Effect(on(_WET_WORDS), _watercolor))
"""What the words for each kind of paint do."""
