"""A paddling animal, seen half above and half under water, with its splash and bubbles."""

import math

from .animals import draw_head
from .birds import draw_duck
from .canvas import Canvas
from .palettes import Palette, color, lit, mix, veil
from .pen import Pen
from .species import FURRY, Species, species
from .subject import Creature


def draw_swimmer(
    canvas: Canvas, palette: Palette, creature: Creature, x: float, level: float
) -> None:
    """Let an animal paddle: its body under water, blue with it, its head above."""
    unit = canvas.unit
    depth = canvas.height - level
    pen = Pen(canvas, x, level, min(unit * 0.34, depth * 0.75), canvas.rng.random() < 0.5)
    if creature.kind == "duck":
        draw_duck(pen.moved(0, 0.12, 0.8), creature.coat or color("#f7d25c"))
        return
    looks = species(creature.kind if creature.kind in FURRY else "dog", creature.coat)
    _draw_paddling(pen, looks, mix(palette.water, lit(palette.sky[1], 0.2), 0.4))
    canvas.soft(
        (8, 20, 40),
        [(*pen.at(-0.75, 0.0), *pen.at(0.75, 0.09))]
        if not pen.flip
        else [(*pen.at(0.75, 0.0), *pen.at(-0.75, 0.09))],
        unit * 0.02,
        0.3,
    )
    neck = [(-0.33, -0.5), (0.33, -0.5), (0.42, 0.0), (-0.42, 0.0)]
    pen.polygon(neck, looks.coat, lit(looks.coat, -0.25))
    draw_head(pen.moved(0, -0.47), looks, tongue=creature.kind in ("dog", "wolf"))


def _draw_paddling(pen: Pen, looks: Species, water: tuple[int, int, int]) -> None:
    """Draw the body that water hides in part: foreshortened trunk, tail and four legs."""
    coat, dim = mix(looks.coat, water, 0.3), mix(lit(looks.coat, -0.2), water, 0.5)
    pen.blob([(0.3, 0.4), (0.62, 0.5), (0.85, 0.3), (0.93, 0.36), (0.7, 0.64), (0.3, 0.6)], dim)
    for way, low in ((-1, 0.92), (1, 0.8)):
        back = [(0.2, 0.5), (0.42, 0.55), (0.5, low - 0.06), (0.42, low), (0.3, low - 0.06)]
        pen.blob([(way * a, b) for a, b in back], dim)
    pen.blob(
        [
            (-0.36, -0.05),
            (0.36, -0.05),
            (0.5, 0.3),
            (0.4, 0.62),
            (0, 0.74),
            (-0.4, 0.62),
            (-0.5, 0.3),
        ],
        coat,
        mix(coat, dim, 0.4),
        dim,
    )
    chest = mix(looks.pale, water, 0.35)
    pen.blob(
        [(0, 0.05), (0.2, 0.2), (0.16, 0.42), (0, 0.54), (-0.16, 0.42), (-0.2, 0.2)],
        chest,
        mix(chest, dim, 0.5),
    )
    reach = [
        (0.24, 0.22),
        (0.4, 0.3),
        (0.56, 0.62),
        (0.62, 0.84),
        (0.48, 0.9),
        (0.36, 0.66),
        (0.22, 0.46),
    ]
    fold = [
        (-0.22, 0.22),
        (-0.4, 0.28),
        (-0.66, 0.36),
        (-0.74, 0.52),
        (-0.6, 0.6),
        (-0.42, 0.52),
        (-0.24, 0.48),
    ]
    for leg, paw, turn in ((reach, (0.55, 0.86), 20), (fold, (-0.68, 0.52), -30)):
        pen.blob(leg, lit(coat, 0.07), coat)
        tone = mix(mix(looks.coat, looks.pale, 0.5), water, 0.3)
        pen.oval(paw[0], paw[1], 0.115, 0.085, tone, lit(tone, -0.15), turn=turn)
        for toe in (-0.04, 0.04):
            pen.stroke(
                [(paw[0] + toe, paw[1] + 0.06), (paw[0] + toe, paw[1] + 0.01)],
                0.014,
                lit(tone, -0.4),
            )


def draw_bubbles(canvas: Canvas, x: float, level: float) -> None:
    """Send bubbles up."""
    rng, unit = canvas.rng, canvas.unit
    for _ in range(46):
        left = x + rng.gauss(0, 0.28) * min(canvas.width, unit * 1.4)
        top = level + (canvas.height - level) * rng.uniform(0.03, 0.8)
        radius = unit * 0.011 * rng.random() ** 2 + unit * 0.002
        canvas.dot(left, top, radius, veil((255, 255, 255), 0.28))
        canvas.dot(
            left - radius * 0.3, top - radius * 0.3, radius * 0.36, veil((255, 255, 255), 0.8)
        )


def draw_splash(canvas: Canvas, x: float, level: float) -> None:
    """Throw drops and rings around the swimmer."""
    rng, unit = canvas.rng, canvas.unit
    for wide, opacity in ((0.2, 0.5), (0.27, 0.3)):
        box = (x - unit * wide, level - unit * 0.012, x + unit * wide, level + unit * 0.03)
        canvas.draw.arc(
            box, 0, 360, fill=veil((255, 255, 255), opacity), width=max(2, round(unit * 0.004))
        )
    for _ in range(64):
        turn = rng.choice((0.16, 0.84)) * math.pi + rng.gauss(0, 0.22)
        away = unit * (0.2 + 0.24 * rng.random() ** 1.3)
        left, top = x + math.cos(turn) * away, level - math.sin(turn) * away * 0.72
        radius = unit * (0.0015 + 0.0075 * rng.random() ** 2)
        canvas.dot(left, top, radius, veil((255, 255, 255), rng.uniform(0.5, 0.9)))
