"""Abstract compositions: circles, ribbons, arcs, triangles; for prompts that show no scene."""

import math
from collections.abc import Callable
from random import Random

from .canvas import Canvas, Point
from .creatures import draw_creatures
from .palettes import Color, Palette, lit, mix, veil
from .subject import Subject


def draw_abstract(canvas: Canvas, subject: Subject, palette: Palette, choice: int = 0) -> None:
    """Draw one of four kinds of composition: the one that words name, or else `choice`."""
    kinds: tuple[Callable[[Canvas, Palette], None], ...]
    kinds = (_draw_circles, _draw_ribbons, _draw_arcs, _draw_triangles)
    named = (
        ("circle", "kandinsky", "dot"),
        ("wave", "flow", "ribbon", "line"),
        ("arc", "bauhaus", "pattern"),
        ("triangle", "polygon", "cubist", "cubism", "geometric"),
    )
    chosen = next((n for n, words in enumerate(named) if subject.has(*words)), choice % len(kinds))
    kinds[chosen](canvas, palette)
    draw_creatures(canvas, subject, palette, ground=0.88, horizon=canvas.height * 0.5)


def _inks(palette: Palette, rng: Random) -> list[Color]:
    """Choose inks that stand apart: all accents, and the sky's and the water's tones."""
    inks = [*palette.accents, palette.water, palette.sky[0], palette.sky[1], palette.leaf]
    rng.shuffle(inks)
    return inks


def _paper(canvas: Canvas, palette: Palette) -> Color:
    """Lay a ground that glows a little from one corner."""
    base = mix(palette.sky[2], palette.accents[2], 0.55)
    if palette.dark:
        base = mix(palette.sky[0], palette.sky[1], 0.5)
    canvas.gradient([lit(base, 0.1), base, lit(base, -0.1)], 0, canvas.height)
    canvas.glow(
        canvas.width * canvas.rng.choice((0.2, 0.8)),
        canvas.height * 0.2,
        canvas.unit,
        palette.light,
        0.5,
    )
    return base


def _draw_circles(canvas: Canvas, palette: Palette) -> None:
    """Balance see-through discs, rings and fine lines, as Kandinsky did."""
    rng, unit = canvas.rng, canvas.unit
    paper = _paper(canvas, palette)
    inks = _inks(palette, rng)
    dark = lit(palette.near, -0.2) if not palette.dark else lit(palette.accents[2], 0.3)
    line = max(2, round(unit * 0.0042))
    spread = max(1, round(canvas.width * canvas.height / unit**2))
    for part in range(spread):
        left = canvas.width * (part / spread) if canvas.width >= canvas.height else 0.0
        top = canvas.height * (part / spread) if canvas.height > canvas.width else 0.0
        wide = canvas.width / (spread if canvas.width >= canvas.height else 1)
        high = canvas.height / (spread if canvas.height > canvas.width else 1)
        x, y = left + wide * rng.uniform(0.3, 0.7), top + high * rng.uniform(0.3, 0.6)
        canvas.glow(x, y, unit * 0.42, inks[0], 0.5)
        for radius, ink in (
            (0.25, inks[1]),
            (0.19, inks[2]),
            (0.12, paper),
            (0.07, inks[3]),
            (0.03, dark),
        ):
            canvas.dot(x, y, unit * radius, veil(ink, 0.9))
        for _ in range(15):
            cx, cy = left + rng.random() * wide, top + rng.random() * high
            radius = unit * rng.choice((0.02, 0.035, 0.06, 0.09, 0.14))
            ink = rng.choice(inks)
            canvas.dot(cx, cy, radius, veil(ink, rng.uniform(0.55, 0.85)))
            if rng.random() < 0.6:
                canvas.dot(cx, cy, radius * 0.55, veil(rng.choice(inks), 0.85))
            if rng.random() < 0.5:
                box = (cx - radius * 1.3, cy - radius * 1.3, cx + radius * 1.3, cy + radius * 1.3)
                canvas.draw.arc(
                    box, rng.uniform(0, 360), rng.uniform(400, 700), fill=dark, width=line
                )
        for _ in range(5):
            cx, cy, turn = (
                left + rng.random() * wide,
                top + rng.random() * high,
                rng.uniform(0, math.tau),
            )
            length = unit * rng.uniform(0.25, 0.6)
            c, s = math.cos(turn) * length, math.sin(turn) * length
            canvas.draw.line((cx - c, cy - s, cx + c, cy + s), fill=dark, width=line)
        for _ in range(3):
            cx, cy = left + rng.uniform(0.1, 0.9) * wide, top + rng.uniform(0.1, 0.9) * high
            radius, turn = unit * rng.uniform(0.06, 0.13), rng.uniform(0, 360)
            box = (cx - radius, cy - radius, cx + radius, cy + radius)
            canvas.draw.pieslice(box, turn, turn + 180, fill=veil(rng.choice(inks), 0.85))
        cx, cy = left + rng.random() * wide, top + rng.uniform(0.55, 0.85) * high
        side = unit * rng.uniform(0.18, 0.3)
        canvas.draw.polygon(
            [
                (cx, cy - side),
                (cx + side * 0.8, cy + side * 0.6),
                (cx - side * 0.6, cy + side * 0.5),
            ],
            fill=veil(rng.choice(inks), 0.6),
            outline=dark,
        )
        cx, cy = left + rng.random() * wide * 0.8, top + rng.uniform(0.1, 0.8) * high
        cell = unit * 0.032
        for row in range(4):
            for col in range(5):
                if (row + col) % 2:
                    box = (
                        cx + col * cell,
                        cy + row * cell,
                        cx + (col + 1) * cell,
                        cy + (row + 1) * cell,
                    )
                    canvas.draw.rectangle(box, fill=veil(dark, 0.85))


def _draw_ribbons(canvas: Canvas, palette: Palette) -> None:
    """Let ribbons follow one slow flow across the image."""
    rng, unit = canvas.rng, canvas.unit
    _paper(canvas, palette)
    inks = _inks(palette, rng)
    tall = canvas.height > canvas.width
    length = canvas.height if tall else canvas.width
    across = canvas.width if tall else canvas.height
    shift, slow = rng.uniform(0, 9), rng.uniform(2.2, 3.4)
    count = max(9, round(across / unit * 17))
    for n in range(count):
        base = across * (n / count * 1.2 - 0.1)
        half = across / count * rng.uniform(0.7, 1.3)
        upper: list[Point] = []
        lower: list[Point] = []
        for step in range(101):
            along = length * (step / 100 * 1.1 - 0.05)
            turn = along / unit * slow + shift
            bend = math.sin(turn + n * 0.12) + 0.4 * math.sin(turn * 2.1 + n * 0.21)
            thick = half * (0.75 + 0.55 * math.sin(turn * 1.3 + n * 0.9))
            middle = base + unit * 0.12 * bend
            upper.append((middle - thick, along) if tall else (along, middle - thick))
            lower.append((middle + thick, along) if tall else (along, middle + thick))
        ink = inks[n % len(inks)]
        ring = [*upper, *reversed(lower)]
        canvas.draw.polygon(
            [(x + unit * 0.006, y + unit * 0.012) for x, y in ring], fill=veil((12, 12, 30), 0.16)
        )
        canvas.shape(ring, [lit(ink, 0.25), ink, lit(ink, -0.2)])
        canvas.draw.line(upper, fill=veil(lit(ink, 0.6), 0.7), width=max(2, round(unit * 0.002)))


def _draw_arcs(canvas: Canvas, palette: Palette) -> None:
    """Tile the image with quarter rings, turned at random."""
    rng, unit = canvas.rng, canvas.unit
    paper = _paper(canvas, palette)
    inks = _inks(palette, rng)
    target = unit / rng.choice((3, 4, 5))
    cols, rows = max(1, round(canvas.width / target)), max(1, round(canvas.height / target))
    wide, high = canvas.width / cols, canvas.height / rows
    for row in range(rows):
        for col in range(cols):
            x, y = col * wide, row * high
            tile = canvas.image.crop((round(x), round(y), round(x + wide), round(y + high)))
            order = rng.sample(inks, 5)
            inner = Canvas(tile.width, tile.height, rng)
            back = mix(order[4], paper, 0.55)
            inner.gradient([lit(back, 0.08), back], 0, tile.height)
            cx, cy = rng.choice(((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5)))
            reach = 1.0 if (cx, cy) != (0.5, 0.5) else 0.46
            for ring, ink in zip((1.0, 0.76, 0.52, 0.28), order, strict=False):
                a, b = tile.width * ring * reach, tile.height * ring * reach
                mx, my = tile.width * cx, tile.height * cy
                inner.draw.ellipse((mx - a, my - b, mx + a, my + b), fill=ink)
            canvas.image.paste(inner.image, (round(x), round(y)))
    canvas.glow(canvas.width * rng.random(), 0, unit * 1.3, palette.light, 0.3)


def _draw_triangles(canvas: Canvas, palette: Palette) -> None:
    """Fold the image into facets whose colors flow from corner to corner."""
    rng, unit = canvas.rng, canvas.unit
    cell = unit / 8
    cols, rows = math.ceil(canvas.width / cell) + 2, math.ceil(canvas.height / cell) + 2
    knots = [
        [
            (
                (c - 0.5 + rng.uniform(-0.36, 0.36)) * cell,
                (r - 0.5 + rng.uniform(-0.36, 0.36)) * cell,
            )
            for c in range(cols + 1)
        ]
        for r in range(rows + 1)
    ]
    scale = [
        palette.sky[0],
        palette.water,
        palette.accents[3],
        palette.accents[0],
        palette.accents[1],
        palette.accents[2],
    ]
    if rng.random() < 0.5:
        scale.reverse()
    hot_x, hot_y = canvas.width * rng.uniform(0.25, 0.75), canvas.height * rng.uniform(0.25, 0.6)
    far = math.hypot(canvas.width, canvas.height) * 0.62
    for r in range(rows):
        for c in range(cols):
            a, b, d, e = knots[r][c], knots[r][c + 1], knots[r + 1][c], knots[r + 1][c + 1]
            halves = ((a, b, d), (b, e, d)) if (r + c) % 2 else ((a, b, e), (a, e, d))
            for half in halves:
                x, y = sum(p[0] for p in half) / 3, sum(p[1] for p in half) / 3
                part = min(0.999, math.hypot(x - hot_x, y - hot_y) / far + rng.uniform(-0.05, 0.05))
                place = max(0.0, part) * (len(scale) - 1)
                tone = mix(scale[-1 - int(place)], scale[-2 - int(place)], place % 1)
                canvas.draw.polygon(half, fill=lit(tone, rng.uniform(-0.13, 0.13)))
    canvas.glow(hot_x, hot_y, unit * 0.6, palette.light, 0.45)
