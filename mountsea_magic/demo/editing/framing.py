"""Frames around an image, and on it notes and further images, like prints."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageChops, ImageDraw, ImageOps

from ..drawing.layers import graded, gray, ramp, soft
from ..drawing.note import draw_note, lay_card
from ..drawing.palettes import Color, lit
from ..drawing.words import COLORS
from .edit_canvas import EditCanvas, Effect, on

_PLACES = ((0.8, 0.24), (0.2, 0.76), (0.2, 0.25), (0.8, 0.7), (0.5, 0.2), (0.5, 0.8))
"""Where prints lie, as shares of width and height; the middle is for the first image."""

_MOODS = (
    "#00122b #8f8078 #fff2c7",
    "#1f0824 #99708a #ffebf0",
    "#1a1a29 #918775 #faf2cc",
    "#080f30 #63809e #e6fcff",
    "#0d120d #808f5c #f7ffcc",
)
"""What black, gray and white become if the prompt has no known word."""

_WOOD = (112, 72, 40)
_MAT = (246, 242, 233)
_SIDES = ((0, 1, 0.14), (0, 3, 0.05), (3, 2, -0.16), (1, 2, -0.06))
"""A frame's sides by the corners that they join, clockwise, and how light each is."""


def lay_prints(canvas: EditCanvas, prints: Sequence[Image.Image]) -> None:
    """Lay images on another, as prints with a white border."""
    rng = canvas.rng
    longest = canvas.unit * (0.4 if len(prints) < 3 else 0.32)
    for place, one in enumerate(prints):
        small = ImageOps.contain(one, (round(longest), round(longest)), Image.Resampling.LANCZOS)
        card = ImageOps.expand(small, max(2, round(longest * 0.035)), (252, 250, 245))
        across, down = _PLACES[place % len(_PLACES)]
        loose = 0.02 + 0.05 * (place // len(_PLACES))
        x = canvas.width * (across + rng.uniform(-loose, loose))
        y = canvas.height * (down + rng.uniform(-loose, loose))
        lay_card(canvas.image, rng, card, x, y, rng.uniform(2.5, 7))


def add_note(canvas: EditCanvas, prompt: str) -> None:
    """Change an image whose prompt has no known word: its mood, and a note on it."""
    rng, unit = canvas.rng, canvas.unit
    canvas.put(graded(canvas.image, rng.choice(_MOODS)))
    x, y = rng.choice((0, canvas.width)), canvas.height * rng.uniform(0.1, 0.6)
    canvas.glow(x, y, unit * 0.75, (255, 176, 96), 0.5)
    canvas.corners(0.35)
    draw_note(canvas.image, rng, prompt, without_letters="edited")


def _polaroid(canvas: EditCanvas) -> None:
    """An instant image on a table: faded, with a white border that is broad below."""
    unit, rng = canvas.unit, canvas.rng
    faded = graded(canvas.image, "#1a1721 #8f8a80 #fcf5db")
    canvas.put(graded(soft(canvas.image, unit * 0.05), "#332820 #7d6b5e"))
    planks = canvas.texture(4, 5, 7).point([round(92 + v * 0.28) for v in range(256)])
    canvas.put(ImageChops.overlay(canvas.image, gray(planks)))
    canvas.corners(0.4)
    border, below = round(unit * 0.035), round(unit * 0.13)
    size = (round(canvas.width * 0.84 - 2 * border), round(canvas.height * 0.88 - border - below))
    if 0.6 < size[0] / size[1] < 1.7:
        size = (min(size), min(size))
    small = ImageOps.fit(faded, size, Image.Resampling.LANCZOS)
    card = ImageOps.expand(small, (border, border, border, below), (250, 248, 242))
    middle = (canvas.width / 2, canvas.height * 0.49)
    lay_card(canvas.image, rng, card, *middle, rng.uniform(2, 4.5))


def _frame(canvas: EditCanvas) -> None:
    """A frame of wood, or of the color that stands before the word, and a white mat."""
    inner = canvas.image.copy()
    bar, bevel = round(canvas.unit * 0.045), round(canvas.unit * 0.095)
    _draw_bars(canvas, _frame_color(canvas.instructions), bar)
    opening = (bar, bar, canvas.width - bar, canvas.height - bar)
    shadow = Image.new("L", canvas.image.size, 255)
    shadow.paste(0, opening)
    mat = Image.new("RGB", canvas.image.size, _MAT)
    size = (max(1, canvas.width - 2 * bevel), max(1, canvas.height - 2 * bevel))
    mat.paste(ImageOps.fit(inner, size, Image.Resampling.LANCZOS), (bevel, bevel))
    edge = max(1, round(canvas.unit * 0.003))
    outline = (bevel - edge, bevel - edge, canvas.width - bevel, canvas.height - bevel)
    ImageDraw.Draw(mat).rectangle(outline, outline=lit(_MAT, -0.14), width=edge)
    mat.paste((20, 16, 20), (0, 0), ramp(soft(shadow, canvas.unit * 0.008), 0, 255, 0.5))
    canvas.image.paste(mat.crop(opening), opening[:2])


def _frame_color(instructions: str) -> Color:
    """The color that stands right before the frame, if any does."""
    words = instructions.split()
    at = next(n for n, word in enumerate(words) if word in ("frame", "framed", "border"))
    return COLORS.get(words[at - 1], _WOOD) if at else _WOOD


def _draw_bars(canvas: EditCanvas, base: Color, thick: int) -> None:
    """The bars, round and lit from above, with a grain."""
    for n in range(thick):
        right, bottom = canvas.width - 1 - n, canvas.height - 1 - n
        corners = ((n, n), (right, n), (right, bottom), (n, bottom))
        bulge = 0.35 - abs(n / thick - 0.4) * 0.9
        for start, end, light in _SIDES:
            tone = lit(base, max(-0.8, min(0.8, bulge + light)))
            canvas.draw.line((corners[start], corners[end]), tone)
    grain = canvas.texture(9, 4, 6).point([round(104 + v * 0.19) for v in range(256)])
    canvas.put(ImageChops.overlay(canvas.image, gray(grain)))


FRAMES = (
    Effect(on("polaroid snapshot", "instant photo", "instant image"), _polaroid),
    Effect(on("frame framed border"), _frame),
)
"""What the words for each frame do."""
