"""Trees and shrubs, as figures: pines, round trees, trunks, tufts of grass."""

import math
from random import Random

from .canvas import Canvas, Point
from .palettes import Color, color, lit, mix, veil
from .pen import Pen


def draw_pine(pen: Pen, needles: Color, snow: bool, rng: Random) -> None:
    """Draw a pine, 1 unit high and half as wide."""
    pen.polygon([(-0.022, 0), (0.022, 0), (0.015, -0.3), (-0.015, -0.3)], lit(needles, -0.45))
    tiers = 6
    for tier in range(tiers):
        low = -0.1 - 0.78 * tier / tiers
        wide = 0.27 * (1 - tier / tiers) ** 0.85 + 0.035
        top = low - 0.2
        left, right = wide * rng.uniform(0.88, 1.1), wide * rng.uniform(0.88, 1.1)
        tone = lit(needles, -0.16 + 0.05 * tier)
        edge: list[Point] = [(-left, low + 0.02)]
        for tooth in range(1, 6):
            part = tooth / 6
            edge.append(
                (-left + (left + right) * part, low + (0.0 if tooth % 2 else 0.035) + 0.012)
            )
        pen.polygon([(0, top), *edge, (right, low + 0.02)], tone)
        pen.polygon(
            [(0, top), (right, low + 0.02), (right * 0.2, low + 0.03)],
            veil(lit(needles, -0.6), 0.2),
        )
        if snow:
            cap = [
                (0, top),
                (-left * 0.95, low),
                (-left * 0.62, low - 0.035),
                (-left * 0.36, low - 0.0),
                (-left * 0.1, low - 0.06),
                (right * 0.2, low - 0.025),
                (right * 0.5, low - 0.075),
            ]
            pen.polygon(cap, mix((255, 255, 255), needles, 0.14))


def draw_round_tree(pen: Pen, leaves: Color, rng: Random) -> None:
    """Draw a broad tree with a crown of lit tufts, 1 unit high."""
    bark = mix(lit(leaves, -0.6), color("#4a352b"), 0.5)
    pen.oval(0.05, 0.0, 0.32, 0.025, veil(lit(leaves, -0.8), 0.3))
    pen.polygon([(-0.045, 0), (-0.025, -0.5), (0.025, -0.5), (0.05, 0)], bark)
    pen.stroke([(0, -0.3), (0.1, -0.45)], 0.025, bark)
    pen.stroke([(0, -0.26), (-0.1, -0.42)], 0.022, bark)
    tufts = []
    for _ in range(11):
        turn, away = rng.uniform(0, math.tau), rng.random() ** 0.6
        tufts.append(
            (
                math.cos(turn) * away * 0.25,
                -0.62 + math.sin(turn) * away * 0.22,
                rng.uniform(0.12, 0.18),
            )
        )
    for shift, grow, tone in ((0.03, 1.12, lit(leaves, -0.3)), (0.0, 1.0, leaves)):
        for x, y, size in tufts:
            pen.oval(x + shift, y + shift, size * grow, size * grow * 0.92, tone)
    for x, y, size in tufts:
        if x - y > 0.9:
            continue
        pen.oval(x - 0.035, y - 0.045, size * 0.62, size * 0.52, veil(lit(leaves, 0.28), 0.55))


def draw_trunk(pen: Pen, bark: Color, birch: bool, rng: Random) -> None:
    """Draw a tall trunk that leaves the image at the top, 1 unit being its width."""
    high = pen.y / pen.size + 1
    lean = rng.uniform(-0.03, 0.03) * high
    pen.polygon(
        [
            (-0.8, 0.12),
            (-0.5, -0.7),
            (lean - 0.36, -high),
            (lean + 0.36, -high),
            (0.5, -0.7),
            (0.8, 0.12),
        ],
        bark,
    )
    pen.polygon(
        [
            (0.2, 0.05),
            (0.12, -0.7),
            (lean + 0.1, -high),
            (lean + 0.36, -high),
            (0.5, -0.7),
            (0.8, 0.12),
        ],
        veil(lit(bark, -0.6), 0.3),
    )
    for _ in range(round(high * (1.1 if birch else 0.7))):
        part = rng.random()
        x, y = lean * part + rng.uniform(-0.3, 0.1), -high * part
        if birch:
            pen.oval(x, y, rng.uniform(0.1, 0.26), 0.04, lit(bark, -0.65))
        else:
            pen.stroke([(x, y), (x + 0.02, y - 0.7)], 0.04, lit(bark, -0.25))


def draw_grass(canvas: Canvas, x: float, y: float, size: float, tone: Color) -> None:
    """Draw a tuft of grass."""
    rng = canvas.rng
    for _ in range(6):
        lean, high = rng.uniform(-0.5, 0.5) * size, size * rng.uniform(0.5, 1)
        foot = x + rng.uniform(-0.25, 0.25) * size
        wide = size * 0.05
        canvas.draw.polygon(
            [
                (foot - wide, y),
                (foot + lean * 0.35, y - high * 0.6),
                (foot + lean, y - high),
                (foot + wide, y),
            ],
            fill=lit(tone, rng.uniform(-0.2, 0.2)),
        )
