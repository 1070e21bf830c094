"""What grows and floats over a field, as figures: flowers, a windmill, hot-air balloons."""

import math

from .palettes import Color, Palette, color, lit, mix, veil
from .pen import Pen
from .subject import Subject


def draw_flower(pen: Pen, palette: Palette, tone: Color, kind: str, near: bool) -> None:
    """Draw one flower on its stem, 1 unit high."""
    stem = mix(palette.leaf, palette.near, 0.25)
    pen.stroke([(0, 0), (0.02, -0.35), (0, -0.7)], 0.04, stem)
    if near:
        pen.blob([(0, -0.05), (-0.16, -0.3), (-0.2, -0.6), (-0.08, -0.38)], lit(stem, 0.12))
        pen.blob([(0.01, -0.05), (0.15, -0.22), (0.24, -0.48), (0.08, -0.28)], lit(stem, -0.1))
    if kind == "tulip":
        _draw_tulip(pen, tone, near)
    elif kind == "lavender":
        for row in range(7):
            y = -0.45 - row * 0.085
            wide = 0.075 * (1 - row / 9)
            for way in (-1, 1):
                pen.oval(way * wide * 0.7, y, wide, 0.05, lit(tone, 0.14 * way), turn=way * 24)
    elif kind == "rose":
        for grow, shade in ((0.19, -0.2), (0.15, 0.0), (0.1, 0.18), (0.05, -0.15)):
            pen.oval(
                0.02 - grow * 0.15, -0.84 - (0.19 - grow) * 0.25, grow, grow * 0.9, lit(tone, shade)
            )
    else:
        _draw_rayed(pen, tone, kind, near)


def _draw_tulip(pen: Pen, tone: Color, near: bool) -> None:
    """Draw a tulip's cup: two petals behind, one in front."""
    back = lit(tone, -0.16)
    for way in (-1, 1):
        petal = [(0, -0.64), (0.14, -0.68), (0.18, -0.84), (0.13, -1.0), (0.04, -0.9)]
        pen.blob([(way * x, y) for x, y in petal], lit(tone, 0.08) if way < 0 else back)
    if near:
        pen.blob(
            [(0, -0.63), (0.1, -0.7), (0.1, -0.84), (0, -0.99), (-0.1, -0.84), (-0.1, -0.7)],
            lit(tone, 0.22),
            tone,
        )
    else:
        pen.polygon([(0, -0.63), (0.1, -0.76), (0, -0.98), (-0.1, -0.76)], lit(tone, 0.14))


def _draw_rayed(pen: Pen, tone: Color, kind: str, near: bool) -> None:
    """Draw a flower of petals around a heart."""
    heart = {"sunflower": color("#5a3418"), "poppy": color("#2a2026")}.get(kind, color("#f7c32c"))
    petals, long, wide = {"sunflower": (15, 0.24, 0.05), "poppy": (5, 0.17, 0.13)}.get(
        kind, (11, 0.17, 0.042)
    )
    if not near:
        petals = min(petals, 8)
    for petal in range(petals):
        turn = petal * 360 / petals + 9
        x, y = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        shade = lit(tone, 0.12 if petal % 2 else -0.08)
        pen.oval(x * long * 0.62, -0.8 + y * long * 0.6, long * 0.56, wide, shade, turn=turn)
    core = {"sunflower": 0.12, "poppy": 0.055}.get(kind, 0.06)
    pen.oval(0, -0.8, core, core * 0.95, heart)
    if near:
        pen.oval(-core * 0.2, -0.8 - core * 0.25, core * 0.6, core * 0.5, lit(heart, 0.2))


def draw_windmill(pen: Pen, palette: Palette) -> None:
    """Draw a windmill, about 2.6 units high with its sails."""
    wall = mix(lit(palette.accents[2], 0.1), palette.sky[1], 0.4 if palette.dark else 0.1)
    dark = mix(palette.near, color("#5a3a2a"), 0.4)
    pen.polygon([(-0.45, 0), (-0.26, -1.3), (0.26, -1.3), (0.45, 0)], wall, lit(wall, -0.12))
    pen.polygon([(0.1, 0), (0.05, -1.3), (0.26, -1.3), (0.45, 0)], veil(dark, 0.25))
    pen.polygon([(-0.52, -0.46), (0.52, -0.46), (0.5, -0.54), (-0.5, -0.54)], dark)
    pen.blob(
        [(-0.32, -1.28), (-0.26, -1.56), (0, -1.72), (0.26, -1.56), (0.32, -1.28)],
        palette.accents[0],
    )
    pen.blob([(-0.09, 0), (-0.09, -0.24), (0, -0.32), (0.09, -0.24), (0.09, 0)], dark)
    pen.oval(0, -0.9, 0.07, 0.1, dark)
    for turn in (24, 114, 204, 294):
        c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))

        def spun(x: float, y: float, c: float = c, s: float = s) -> tuple[float, float]:
            return x * c - y * s, -1.42 + x * s + y * c

        pen.polygon(
            [spun(0.2, 0.0), spun(1.15, 0.0), spun(1.15, 0.24), spun(0.3, 0.2)],
            veil(lit(wall, 0.4), 0.9),
        )
        for n in range(6):
            x = 0.3 + n * 0.17
            pen.stroke([spun(x, 0.0), spun(x, 0.22)], 0.016, dark)
        pen.stroke([spun(0.3, 0.12), spun(1.15, 0.13)], 0.014, dark)
        pen.stroke([spun(0, 0), spun(1.18, 0)], 0.04, dark)
    pen.oval(0, -1.42, 0.08, 0.08, lit(dark, -0.2))


def draw_balloon(pen: Pen, palette: Palette, turn: int, subject: Subject) -> None:
    """Draw a hot-air balloon, about 2.5 units high."""
    first = subject.color_of("balloon") or palette.accents[turn % 2]
    second = lit(palette.accents[2], 0.2)
    for x in (-0.16, 0.16):
        pen.stroke([(x * 1.6, 1.05), (x, 1.5)], 0.02, palette.near)
    pen.polygon([(-0.18, 1.48), (0.18, 1.48), (0.14, 1.76), (-0.14, 1.76)], color("#8a5a34"))
    for gore, wide in enumerate((1.0, 0.78, 0.48, 0.16)):
        outline = [(0, -1.0), (0.7, -0.75), (1.0, -0.1), (0.75, 0.55), (0.28, 1.08)]
        path = [(x * wide, y) for x, y in outline]
        path += [(-x * wide, y) for x, y in reversed(outline[1:])]
        pen.blob(path, lit(first if gore % 2 == 0 else second, 0.05 - 0.05 * gore))
    pen.blob(
        [
            (0.3, -0.92),
            (0.8, -0.65),
            (1.0, -0.1),
            (0.75, 0.55),
            (0.28, 1.08),
            (0.6, 0.2),
            (0.62, -0.4),
        ],
        veil(palette.near, 0.2),
    )
