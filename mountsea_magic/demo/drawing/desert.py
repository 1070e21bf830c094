"""Desert dunes, lit from one side."""

import math

from .canvas import Canvas
from .palettes import Color, Palette, color, lit, mix, veil
from .pen import Pen
from .ridge import trace_ridge


def draw_dunes(canvas: Canvas, palette: Palette, horizon: float) -> None:
    """Draw dunes: each a lit back and a shaded lee side that meet in one sweeping crest."""
    rng, unit = canvas.rng, canvas.unit
    depth = canvas.height - horizon
    sand = mix(color("#e9b870"), palette.sky[2], 0.15)
    if palette.dark:
        sand = mix(lit(sand, -0.5), palette.sky[1], 0.5)
    for layer in range(5):
        near = layer / 4
        tone = mix(mix(sand, palette.sky[2], 0.5 * (1 - near)), palette.near, 0.1 * near)
        base = horizon + depth * (0.1 + 0.68 * near)
        tops = trace_ridge(canvas, base, unit * (0.04 + 0.06 * near), unit * 0.6, 1, False)
        canvas.ground(tops, [lit(tone, 0.1), tone, mix(tone, palette.near, 0.3)], canvas.height)
        flip = rng.random() < 0.5
        count = max(1, round((2.6 - 1.2 * near) * canvas.width / unit))
        for n in range(count):
            x = canvas.width * (n + rng.uniform(0.1, 0.9)) / count
            size = unit * (0.16 + 0.26 * near) * rng.uniform(0.7, 1.15)
            _draw_dune(Pen(canvas, x, base + unit * 0.02, size, flip), tone, palette)
        for _ in range(10):
            lift = rng.uniform(0.03, 0.3) * unit
            wind = [
                (x, y + lift + unit * 0.006 * math.sin(x / unit * 19 + lift)) for x, y in tops[::3]
            ]
            canvas.draw.line(wind, fill=veil(lit(tone, -0.3), 0.09), width=3)


def _draw_dune(pen: Pen, tone: Color, palette: Palette) -> None:
    """Draw one dune: its lee side is bounded by an S that runs down from the crest."""
    foot = mix(tone, palette.near, 0.08)
    back = [(-2.6, 0.12), (-1.7, -0.05), (-0.9, -0.3), (-0.35, -0.58), (0.0, -0.72)]
    lee = [(0.0, -0.72), (0.4, -0.5), (0.95, -0.26), (1.7, -0.06), (2.5, 0.12)]
    swing = [
        (1.5, 0.18),
        (0.7, 0.2),
        (0.2, 0.16),
        (0.1, 0.02),
        (0.26, -0.16),
        (0.3, -0.34),
        (0.14, -0.55),
    ]
    pen.blob([*back, *lee[1:], (0.0, 0.2)], lit(tone, 0.3), tone, foot)
    pen.blob(
        [*lee, *swing],
        mix(lit(tone, -0.3), palette.near, 0.32),
        mix(lit(tone, -0.16), palette.near, 0.14),
        foot,
    )
