"""Cards laid on an image, and the note that has a prompt written on it."""

import math
import textwrap
import unicodedata
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from .canvas import unit_of
from .layers import ramp

_LENGTH = 96
"""How many characters of a text are written on a note."""

_SMALLEST = 10.0
"""Font size in pixels below which the note is illegible."""

_EDGE = 0.05
"""How far a note is from the edges of its image, in units."""

_PAPER = (253, 243, 196)
_INK = (58, 50, 64)

_PLAIN = str.maketrans(
    {"–": "-", "—": "-", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "ı": "i"}
    | {"Æ": "AE", "Œ": "OE", "Ø": "O", "Đ": "D", "Ł": "L"}
)
"""What is written for characters that Unicode does not decompose; the font has only ASCII."""

_COLUMNS = (30, 45, _LENGTH, 22, 16, 12)
"""Characters in a line: the first of these whose lines all fit; wider for banners."""

_NARROW_COLUMNS = (_LENGTH, 80, 66, 54, 45, 37, 31, 26, 22, 18, 15, 13, 11, 10, 9, 8, 7, 6, 5, 4)
"""The same where not all of the text fits."""


@dataclass(frozen=True)
class Layout:
    """How a note is written: lengths are in font sizes, but for the size, which is in pixels."""

    lines: tuple[str, ...]
    size: float
    side: float = 1.1
    edge: float = 0.75
    pitch: float = 1.35

    @property
    def width(self) -> int:
        """Width of the note in pixels."""
        font = ImageFont.load_default(size=self.size)
        longest = max(font.getlength(line) for line in self.lines)
        return round(longest + self.size * 2 * self.side)

    @property
    def height(self) -> int:
        """Height of the note in pixels."""
        return round(self.size * (2 * self.edge + self.pitch * len(self.lines)))

    def fits(self, space: tuple[float, float]) -> bool:
        """Return whether the note fits into a width and a height in pixels."""
        return self.width <= space[0] and self.height <= space[1]


def draw_note(image: Image.Image, rng: Random, text: str, *, without_letters: str) -> None:
    """Lay a note with a text on an image; `without_letters` is for one that no font can draw."""
    layout = lay_out(writable(text) or without_letters, image.size)
    note = Image.new("RGB", (layout.width, layout.height), _PAPER)
    pen = ImageDraw.Draw(note)
    font = ImageFont.load_default(size=layout.size)
    for row, line in enumerate(layout.lines):
        middle = layout.size * (layout.edge + layout.pitch * (row + 0.5) - 0.025)
        pen.text((note.width / 2, middle), line, _INK, font, "mm")
    # a small or wide note would stand out of its image, or out of its letters
    askew = rng.uniform(1.5, 4) if layout.edge > 0.5 and note.width < image.width * 0.8 else 0.0
    edge = unit_of(image.size) * _EDGE
    lay_card(image, rng, note, edge + note.width / 2, edge + note.height / 2, askew)


def lay_card(
    image: Image.Image, rng: Random, card: Image.Image, x: float, y: float, askew: float
) -> None:
    """Lay a card down, askew by some degrees, within the image, with its shadow."""
    unit = unit_of(image.size)
    turn = askew * rng.choice((-1, 1))
    ring = round(unit * 0.03)
    shape, turned = (
        ImageOps.expand(part, ring).rotate(turn, Image.Resampling.BICUBIC, expand=True)
        for part in (Image.new("L", card.size, 255), card)
    )
    left = round(max(-ring, min(image.width - turned.width + ring, x - turned.width / 2)))
    top = round(max(-ring, min(image.height - turned.height + ring, y - turned.height / 2)))
    shadow = shape.filter(ImageFilter.GaussianBlur(unit * 0.008))
    drop = round(unit * 0.008)
    image.paste((10, 12, 22), (left + drop, top + drop * 2), ramp(shadow, 0, 255, 0.5))
    image.paste(turned, (left, top), shape)


def writable(text: str) -> str:
    """Shorten a text, without accents and what the font lacks; "" if no letter remains."""
    text = unicodedata.normalize("NFKD", text[: 100 * _LENGTH]).translate(_PLAIN)
    text = "".join(
        c for c in text if c.isspace() or (c.isascii() and c.isprintable()) or c in "‘’“”"
    )
    if not any(c.isalnum() for c in text):
        return ""
    short = textwrap.shorten(text, _LENGTH, placeholder=" …")
    return short if any(c.isalnum() for c in short) else text.strip()[: _LENGTH - 1] + "…"


def lay_out(text: str, size: tuple[int, int]) -> Layout:
    """Wrap a text for the upper half of an image; what does not fit is made smaller and cut."""
    edge = unit_of(size) * _EDGE
    space = (size[0] - 2 * edge, size[1] * 0.5 - edge)
    font_size = max(11.0, unit_of(size) * 0.031, math.sqrt(size[0] * size[1]) * 0.0185)
    for columns in _COLUMNS:
        layout = Layout(tuple(textwrap.wrap(text, columns)), font_size)
        if layout.fits(space):
            return layout
    pitch, border = 1.1, 0.3
    font_size = max(_SMALLEST, font_size * 0.7)
    rows = max(1, int((space[1] / font_size - 2 * border) / pitch))
    for columns in _NARROW_COLUMNS:
        lines = textwrap.wrap(text, columns)
        if len(lines) > rows:
            lines[rows - 1 :] = [lines[rows - 1][: columns - 1].rstrip() + "…"]
        layout = Layout(tuple(lines), font_size, border, border, pitch)
        if layout.fits(space):
            break
    return layout
