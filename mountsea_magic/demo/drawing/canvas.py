"""The surface a scene is drawn on: gradients, glows, soft shapes, ridges and reflections."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from random import Random

from PIL import Image, ImageDraw, ImageFilter, ImageOps

from .palettes import Color, Ink, mix

Point = tuple[float, float]
Box = tuple[float, float, float, float]

_SOFT_STEP = 6
"""Blurred shapes are made at a sixth of the size: looks the same, 36 times cheaper."""

_RIM = 179
"""What Pillow's radial gradient has at the middle of its edges; only its corners reach 255."""


class Canvas:
    """The image being drawn, at its working size; lengths are in its pixels, shares 0 to 1.

    Attributes:
        image: The image, RGB.
        draw: Pillow's pen on it; its colors may carry an opacity.
        width: Width in working pixels.
        height: Height in working pixels.
        unit: The length that sizes things by, in pixels: near the shorter side, so that a
            boat on a 1:8 banner is a boat and not a stretched one.
        rng: The source of all random numbers.
    """

    def __init__(self, width: int, height: int, rng: Random) -> None:
        self.image = Image.new("RGB", (width, height))
        self.draw = ImageDraw.Draw(self.image, "RGBA")
        self.width, self.height = width, height
        self.unit = unit_of((width, height))
        self.rng = rng

    def level(self, share: float, depth: float) -> float:
        """Choose the row where ground begins: `share` of the height, at most `depth` units deep."""
        return max(self.height * share, self.height - depth * self.unit)

    def gradient(self, colors: Sequence[Color], top: float, bottom: float) -> None:
        """Fill the whole width with a gradient, whose colors run evenly from top to bottom."""
        first, last = round(top), round(bottom)
        if last > first:
            self.image.paste(_column(colors, self.width, last - first), (0, first))

    def shape(self, points: Sequence[Point], colors: Sequence[Color]) -> None:
        """Fill a polygon with a vertical gradient that spans its own height."""
        left = max(0, math.floor(min(x for x, _ in points)))
        right = min(self.width, math.ceil(max(x for x, _ in points)) + 1)
        top, bottom = math.floor(min(y for _, y in points)), math.ceil(max(y for _, y in points))
        low, high = max(0, top), min(self.height, bottom + 1)
        if right <= left or high <= low:
            return
        mask = Image.new("L", (right - left, high - low))
        ImageDraw.Draw(mask).polygon([(x - left, y - low) for x, y in points], fill=255)
        fill = _column(colors, right - left, bottom - top + 1)
        self.image.paste(fill.crop((0, low - top, right - left, high - top)), (left, low), mask)

    def glow(self, x: float, y: float, radius: float, color: Color, strength: float) -> None:
        """Add light that fades out from a point."""
        left, top = max(0, math.floor(x - radius)), max(0, math.floor(y - radius))
        right = min(self.width, math.ceil(x + radius))
        bottom = min(self.height, math.ceil(y + radius))
        if right <= left or bottom <= top:
            return
        scale = 256 / (2 * radius)
        seen = (
            max(0.0, (left - x + radius) * scale),
            max(0.0, (top - y + radius) * scale),
            min(256.0, (right - x + radius) * scale),
            min(256.0, (bottom - y + radius) * scale),
        )
        fade = Image.radial_gradient("L").point(
            [round(255 * strength * max(0.0, 1 - v / _RIM) ** 1.8) for v in range(256)]
        )
        mask = fade.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=seen)
        self.image.paste(color, (left, top, right, bottom), mask)

    def soft(self, color: Color, boxes: Iterable[Box], blur: float, opacity: float) -> None:
        """Lay ellipses with soft edges, `blur` pixels wide: clouds, mist, shadows."""
        mask = Image.new("L", (self.width // _SOFT_STEP + 1, self.height // _SOFT_STEP + 1))
        pen = ImageDraw.Draw(mask)
        for left, top, right, bottom in boxes:
            corner = (left / _SOFT_STEP, top / _SOFT_STEP)
            pen.ellipse((*corner, right / _SOFT_STEP, bottom / _SOFT_STEP), fill=255)
        mask = mask.filter(ImageFilter.GaussianBlur(blur / _SOFT_STEP))
        self.wash(color, mask.point([round(v * opacity) for v in range(256)]))

    def wash(self, color: Color, mask: Image.Image) -> None:
        """Lay one color through an "L" mask of any size, stretched over the image."""
        seen = mask.getbbox()
        if seen is None:
            return
        across, down = self.width / mask.width, self.height / mask.height
        left, top = math.floor(seen[0] * across), math.floor(seen[1] * down)
        right, bottom = math.ceil(seen[2] * across), math.ceil(seen[3] * down)
        box = (
            left / across,
            top / down,
            min(mask.width, right / across),
            min(mask.height, bottom / down),
        )
        part = mask.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=box)
        self.image.paste(color, (left, top), part)

    def noise(self, across: float, octaves: int, flat: float = 1.0) -> Image.Image:
        """Make a small "L" image of cloudy noise: `across` billows per unit, `flat` times wider."""
        size = (max(2, self.width // 5), max(2, self.height // 5))
        total: Image.Image | None = None
        for octave in range(octaves):
            cells = across * 2**octave
            wide = max(2, min(size[0], round(self.width / self.unit * cells / flat)))
            high = max(2, min(size[1], round(self.height / self.unit * cells)))
            grid = Image.frombytes("L", (wide, high), self.rng.randbytes(wide * high))
            layer = grid.resize(size, Image.Resampling.BICUBIC)
            share = 0.55**octave / sum(0.55**n for n in range(octave + 1))
            total = layer if total is None else Image.blend(total, layer, share)
        assert total is not None
        return ImageOps.autocontrast(total, cutoff=1)

    def ground(self, tops: Sequence[Point], colors: Sequence[Color], bottom: float) -> None:
        """Fill everything under a ridge with a gradient."""
        self.shape([(tops[0][0], bottom), *tops, (tops[-1][0], bottom)], colors)

    def mirror(self, line: float, bottom: float, water: Color, clear: float, blur: float) -> None:
        """Reflect what stands above a line in still water; `clear` is how much is kept."""
        edge, depth = round(line), round(bottom) - round(line)
        if depth < 2 or edge < 2:
            return
        above = self.image.crop((0, 0, self.width, edge))
        if edge > depth:
            above = above.crop((0, edge - depth, self.width, edge))
        low = above.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        small = low.resize((self.width // 4 + 1, depth // 7 + 1), Image.Resampling.BOX)
        if blur > 0:
            small = small.filter(ImageFilter.BoxBlur((blur / 12, blur / 5)))
        low = small.resize((self.width, depth), Image.Resampling.BICUBIC)
        fade = _column(
            [mix((0, 0, 0), (255, 255, 255), s) for s in (clear, clear * 0.55)], 1, depth
        )
        mask = fade.convert("L").resize((self.width, depth), Image.Resampling.NEAREST)
        deep = Image.new("RGB", low.size, water)
        self.image.paste(Image.composite(low, deep, mask), (0, edge))

    def dot(self, x: float, y: float, radius: float, fill: Color | Ink) -> None:
        """Draw a disc."""
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _column(colors: Sequence[Color], width: int, height: int) -> Image.Image:
    """Spread colors evenly down an image; one exact column is computed and then repeated."""
    stops = [*colors, colors[-1]]
    rows = []
    for row in range(height):
        place = row / max(1, height - 1) * (len(colors) - 1)
        stop = int(place)
        rows.append(mix(stops[stop], stops[stop + 1], place - stop))
    column = Image.new("RGB", (1, height))
    column.putdata(rows)
    return column.resize((width, height), Image.Resampling.NEAREST)


def unit_of(size: tuple[int, int]) -> float:
    """Return an image's unit in pixels: see `Canvas`."""
    return min(math.sqrt(size[0] * size[1]), 1.2 * min(size))


def seeded_rng(seed: str, prompt: str) -> Random:
    """Make a source of random numbers that is the same in every process, as `hash` is not."""
    text = f"{seed}\n{prompt}".encode("utf-8", "surrogatepass")
    return Random(hashlib.sha256(text).hexdigest())
