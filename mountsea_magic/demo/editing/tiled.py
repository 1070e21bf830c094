"""Images made of pieces: pixels, mosaic stones, stained glass, printed dots."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from ..drawing.canvas import Point
from ..drawing.layers import graded, soft, toned
from ..drawing.palettes import Color, lit
from .edit_canvas import EditCanvas, Effect, on

_INKS = (
    "#2b1055 #e0218a #ffd23f #fff7e0",
    "#0b2545 #13a89e #f9c80e #fdf0d5",
    "#3a0ca3 #f72585 #4cc9f0 #f1faee",
    "#1b1b3a #e84855 #f9dc5c #fffdf5",
    "#003049 #d62828 #f77f00 #eae2b7",
    "#22223b #06a77d #d5c67a #ffffff",
)
"""Four inks a poster, from dark to light."""

_GROUT = (206, 198, 184)
_LEAD = (22, 20, 26)
_FINE = 2
"""How many times larger pieces are drawn than they will be, for smooth edges."""


def _pixels(canvas: EditCanvas) -> None:
    """Large square pixels of few colors."""
    side = max(2, round(canvas.unit / 100))
    size = (math.ceil(canvas.width / side), math.ceil(canvas.height / side))
    coarse = ImageEnhance.Color(canvas.image).enhance(1.3).resize(size, Image.Resampling.BOX)
    coarse = ImageEnhance.Contrast(coarse).enhance(1.1)
    few = coarse.quantize(28, dither=Image.Dither.NONE).convert("RGB")
    large = few.resize((size[0] * side, size[1] * side), Image.Resampling.NEAREST)
    canvas.put(large.crop((0, 0, canvas.width, canvas.height)))


@dataclass(frozen=True)
class _Grid:
    """Cells that cover a canvas, none quite square: their corners, row by row."""

    across: int
    down: int
    side: float
    corners: list[Point]

    def cells(self) -> Iterator[tuple[Point, Point, Point, Point]]:
        """Each cell's corners, clockwise from the upper left."""
        for y, x in product(range(self.down), range(self.across)):
            at = y * (self.across + 1) + x
            below = at + self.across + 1
            yield (
                self.corners[at],
                self.corners[at + 1],
                self.corners[below + 1],
                self.corners[below],
            )


def _grid(canvas: EditCanvas, side: float, loose: float) -> _Grid:
    """Make cells of about that side, in pixels; corners are off by that share of it at most."""
    across, down = math.ceil(canvas.width / side), math.ceil(canvas.height / side)
    corners = [
        tuple((place + canvas.rng.uniform(-loose, loose)) * side for place in (x, y))
        for y, x in product(range(down + 1), range(across + 1))
    ]
    return _Grid(across, down, side, [(x, y) for x, y in corners])


def _color_at(canvas: EditCanvas, small: Image.Image, outline: tuple[Point, ...]) -> Color:
    """The color in the middle of a piece, on a small copy of the image."""
    x = sum(x for x, _ in outline) / len(outline) / canvas.width * small.width
    y = sum(y for _, y in outline) / len(outline) / canvas.height * small.height
    place = (max(0, min(small.width - 1, int(x))), max(0, min(small.height - 1, int(y))))
    found = small.getpixel(place)
    assert isinstance(found, tuple)
    return found[0], found[1], found[2]


def _mosaic(canvas: EditCanvas) -> None:
    """Small stones in grout, each of one color, lit from the upper left."""
    grid = _grid(canvas, canvas.unit / 56, 0.13)
    vivid = ImageEnhance.Color(canvas.image).enhance(1.25)
    small = vivid.resize((grid.across, grid.down), Image.Resampling.BOX)
    size = (canvas.width * _FINE, canvas.height * _FINE)
    large = EditCanvas(Image.new("RGB", size, _GROUT), "", canvas.rng)
    for cell in grid.cells():
        tone = lit(_color_at(canvas, small, cell), canvas.rng.uniform(-0.14, 0.14))
        x, y = (sum(corner[axis] for corner in cell) / 4 for axis in (0, 1))
        for part, shift, shade in ((0.95, 0.02, lit(tone, -0.3)), (0.84, -0.04, tone)):
            off = shift * grid.side
            stone = [
                ((x + (a - x) * part + off) * _FINE, (y + (b - y) * part + off) * _FINE)
                for a, b in cell
            ]
            large.draw.polygon(stone, fill=shade)
    canvas.put(large.image.reduce(_FINE))
    canvas.grain(7)


def _glass(canvas: EditCanvas) -> None:
    """Panes of glowing glass in lead, which follows the contours."""
    grid = _snapped(canvas, _grid(canvas, canvas.unit / 25, 0.3))
    vivid = ImageEnhance.Color(canvas.image).enhance(1.6)
    small = vivid.resize((grid.across * 3, grid.down * 3), Image.Resampling.BOX)
    small = ImageEnhance.Contrast(small).enhance(1.15)
    size = (canvas.width * _FINE, canvas.height * _FINE)
    large = EditCanvas(Image.new("RGB", size), "", canvas.rng)
    wide = max(2, round(canvas.unit * 0.0075))
    for n, (a, b, c, d) in enumerate(grid.cells()):
        odd = (n % grid.across + n // grid.across) % 2
        for pane in ((a, b, c), (a, c, d)) if odd else ((a, b, d), (b, c, d)):
            tone = lit(_color_at(canvas, small, pane), canvas.rng.uniform(-0.06, 0.2))
            outline = [(x * _FINE, y * _FINE) for x, y in (*pane, pane[0])]
            large.draw.polygon(outline, fill=tone)
            large.draw.line(outline, _LEAD, wide, "curve")
    panes = large.image.reduce(_FINE)
    glow = graded(soft(panes, canvas.unit * 0.012), "#000000 #4d4d4d")
    canvas.put(ImageChops.screen(panes, glow))
    canvas.corners(0.35)


def _snapped(canvas: EditCanvas, grid: _Grid) -> _Grid:
    """Move the corners onto the strongest contour nearby; those at the edge out of sight."""
    fine = 4
    size = (grid.across * fine, grid.down * fine)
    edges = canvas.image.convert("L").reduce(2).filter(ImageFilter.FIND_EDGES)
    strength = edges.resize(size, Image.Resampling.BOX).tobytes()
    out = canvas.unit * 0.05
    corners = []
    for n, (px, py) in enumerate(grid.corners):
        x, y = n % (grid.across + 1), n // (grid.across + 1)
        if 0 < x < grid.across and 0 < y < grid.down:
            around = product(range(y * fine - 2, y * fine + 2), range(x * fine - 2, x * fine + 2))
            most, row, column = max((strength[b * size[0] + a], b, a) for b, a in around)
            if most > 14:
                px = (column + 0.5) * canvas.width / size[0]
                py = (row + 0.5) * canvas.height / size[1]
        else:
            px = -out if x == 0 else canvas.width + out if x == grid.across else px
            py = -out if y == 0 else canvas.height + out if y == grid.down else py
        corners.append((px, py))
    return _Grid(grid.across, grid.down, grid.side, corners)


def _poster(canvas: EditCanvas) -> None:
    """A screen print in four inks."""
    canvas.put(_printed(canvas.image, canvas.rng.choice(_INKS), canvas.unit * 0.008))


def _pop(canvas: EditCanvas) -> None:
    """The same image four times, each in other inks."""
    half = (math.ceil(canvas.width / 2), math.ceil(canvas.height / 2))
    small = canvas.image.resize(half, Image.Resampling.LANCZOS)
    for place, inks in enumerate(canvas.rng.sample(_INKS, 4)):
        left, top = place % 2 * (canvas.width - half[0]), place // 2 * (canvas.height - half[1])
        canvas.image.paste(_printed(small, inks, canvas.unit * 0.0065), (left, top))


def _printed(image: Image.Image, inks: str, dot: float) -> Image.Image:
    """Print an image's light in inks; where one passes into the next, in dots."""
    light = ImageOps.equalize(soft(image.convert("L"), 4))
    light = Image.blend(light, ImageOps.autocontrast(image.convert("L"), cutoff=1), 0.6)
    side = max(4, round(dot))
    cell = Image.radial_gradient("L").resize((side, side), Image.Resampling.BOX)
    row = Image.new("L", (image.width + side, side))
    for left in range(0, row.width, side):
        row.paste(cell, (left, 0))
    screen = Image.new("L", image.size)
    for n, top in enumerate(range(0, image.height, side)):
        screen.paste(row, (-(n % 2) * (side // 2), top))
    dotted = ImageChops.add(light, screen.point([v * 2 // 5 for v in range(256)]), 1, -46)
    steps = [0 if v < 62 else 85 if v < 124 else 170 if v < 190 else 255 for v in range(256)]
    return toned(dotted.point(steps), inks)


TILED = (
    Effect(
        on("pixel pixelated pixelate 8bit voxel minecraft lego", "8 bit", "16 bit", "retro game"),
        _pixels,
    ),
    Effect(on("mosaic tile tiled"), _mosaic),
    Effect(on("", "stained glass", "church window", "low poly"), _glass),
    Effect(on("warhol", "pop art"), _pop),
    Effect(on("poster halftone lichtenstein risograph", "screen print"), _poster),
)
"""What the words for each kind of pieces do."""
