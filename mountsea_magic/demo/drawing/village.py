"""The village: houses on a hillside around a church or a castle, trees, a path, smoke."""

import math

from .canvas import Canvas, Point
from .creatures import draw_creatures
from .palettes import Color, Palette, color, lit, mix, veil
from .pen import Pen
from .ridge import trace_ridge
from .sky import draw_sky
from .subject import Subject
from .things import draw_church, draw_house
from .trees import draw_grass, draw_pine, draw_round_tree
from .words import NUMBERS


def draw_village(canvas: Canvas, subject: Subject, palette: Palette) -> None:
    """Draw a village in the season the prompt names."""
    unit = canvas.unit
    horizon = canvas.level(0.5, 0.95)
    draw_sky(canvas, subject, palette, horizon)
    snow = subject.mood == "winter"
    lights = palette.dark or subject.mood in ("sunset", "winter", "storm")
    for layer in range(2):
        tone = mix(palette.far, palette.near, 0.1 + 0.18 * layer)
        tops = trace_ridge(
            canvas,
            horizon + unit * 0.02,
            unit * (0.26 - 0.08 * layer),
            unit * 0.36,
            4 - layer,
            layer == 0,
        )
        canvas.ground(tops, [tone, mix(tone, palette.sky[2], 0.6)], horizon + unit * 0.06)
    depth = canvas.height - horizon
    grass = mix(palette.leaf, palette.far, 0.2)
    if palette.leaf[0] > palette.leaf[1]:
        grass = mix(color("#b3a04e"), palette.leaf, 0.2)
    if snow:
        grass = mix(lit(palette.sky[2], 0.5), palette.sky[0], 0.12)
    solo = subject.has("house", "cottage", "castle", "barn", "palace") and not subject.has(
        "village", "town", *NUMBERS
    )
    for layer in range(4):
        near = layer / 3
        base = horizon + depth * (0.06 + 0.8 * near**1.25) + unit * 0.03
        tone = mix(
            mix(grass, palette.sky[2], 0.34 * (1 - near)),
            palette.near,
            (0.05 if snow else 0.34) * near,
        )
        tops = trace_ridge(canvas, base, unit * 0.1, unit * 0.6, 2, False)
        size = unit * (0.055 + 0.075 * near)
        if layer < 3:
            _plant(canvas, palette, tops, size * 1.35, near, snow)
        canvas.ground(tops, [lit(tone, 0.1), tone, lit(tone, -0.14)], canvas.height)
        if layer < 3 and not solo:
            _draw_houses(canvas, palette, tops, size, lights, snow, church=layer == 1)
    if solo:
        _draw_one(canvas, subject, palette, horizon + depth * 0.5, lights, snow)
    _draw_path(canvas, palette, horizon + depth * 0.5 + (unit * 0.1 if solo else 0), snow)
    _draw_foreground(canvas, palette, tone, snow)
    draw_creatures(canvas, subject, palette, ground=0.92, horizon=horizon)


def _near_top(tops: list[Point], x: float) -> float:
    """Find how high the hill is at a point."""
    return min(tops, key=lambda point: abs(point[0] - x))[1]


def _plant(
    canvas: Canvas, palette: Palette, tops: list[Point], size: float, near: float, snow: bool
) -> None:
    """Plant the trees behind the houses of one hill."""
    rng, unit = canvas.rng, canvas.unit
    for _ in range(round((15 - 5 * near) * canvas.width / unit)):
        x, y = tops[rng.randrange(len(tops))]
        tone = rng.choice((palette.leaf, palette.leaf, palette.accents[0], palette.accents[1]))
        if not (palette.leaf[0] > palette.leaf[1]):
            tone = lit(palette.leaf, rng.uniform(-0.2, 0.15))
        tone = mix(tone, palette.far, 0.42 * (1 - near))
        pen = Pen(canvas, x, y + size * 0.1, size * rng.uniform(0.9, 1.7), rng.random() < 0.5)
        if snow or rng.random() < 0.2:
            draw_pine(pen, mix(palette.near, tone, 0.4), snow, rng)
        else:
            draw_round_tree(pen, tone, rng)


def _draw_houses(
    canvas: Canvas,
    palette: Palette,
    tops: list[Point],
    size: float,
    lights: bool,
    snow: bool,
    church: bool,
) -> None:
    """Build the houses of one hill, close together around its middle."""
    rng, unit = canvas.rng, canvas.unit
    count = max(3, round(canvas.width / (size * rng.uniform(2.5, 3.3))))
    homes = []
    middle = rng.uniform(0.35, 0.65)
    for n in range(count):
        x = canvas.width * (n + rng.uniform(0.25, 0.75)) / count
        if abs(x / canvas.width - middle) < 0.07 and size > unit * 0.1:
            continue
        homes.append((_near_top(tops, x) + size * rng.uniform(0.1, 0.75), x))
    if church:
        x = canvas.width * (1 - middle)
        y = _near_top(tops, x) + size * 0.2
        _draw_center(Pen(canvas, x, y, size * 1.15), palette, lights, snow)
    for y, x in sorted(homes):
        wall, roof = _materials(canvas, palette, snow)
        pen = Pen(canvas, x, y, size * rng.uniform(0.85, 1.15), rng.random() < 0.5)
        _draw_smoke(pen, palette)
        draw_house(pen, palette, wall, roof, lights)


def _materials(canvas: Canvas, palette: Palette, snow: bool) -> tuple[Color, Color]:
    """Choose walls and roof for one house."""
    rng = canvas.rng
    wall = mix(
        rng.choice((color("#f6ead2"), color("#f3dcc0"), color("#fbf4e8"), color("#eccfae"))),
        palette.sky[1],
        0.45 if palette.dark else 0.1,
    )
    if palette.dark:
        wall = lit(wall, -0.4)
    roof = mix(
        rng.choice((palette.accents[0], palette.accents[3], color("#a8503a"))), palette.near, 0.2
    )
    return wall, lit(palette.sky[2], 0.6) if snow else roof


def _draw_center(pen: Pen, palette: Palette, lights: bool, snow: bool) -> None:
    """Give the village its centre."""
    wall = mix(color("#f3e6d0"), palette.sky[1], 0.4 if palette.dark else 0.12)
    roof = mix(palette.accents[3], palette.near, 0.35)
    draw_church(
        pen,
        palette,
        lit(wall, -0.35) if palette.dark else wall,
        lit(roof, 0.5) if snow else roof,
        lights,
    )


def _draw_smoke(pen: Pen, palette: Palette) -> None:
    """Let a thread of smoke rise from the chimney."""
    if pen.canvas.rng.random() < 0.5:
        return
    tone = lit(palette.sky[2], 0.4)
    for n in range(9):
        x = 0.46 + 0.09 * math.sin(n * 0.9) + 0.035 * n
        pen.oval(
            x, -1.5 - n * 0.14, 0.06 + 0.022 * n, 0.07 + 0.016 * n, veil(tone, 0.34 * (1 - n / 10))
        )


def _draw_one(
    canvas: Canvas, subject: Subject, palette: Palette, base: float, lights: bool, snow: bool
) -> None:
    """Draw the one building the prompt is about, large."""
    unit = canvas.unit
    x = canvas.width * canvas.rng.choice((0.4, 0.55, 0.62))
    pen = Pen(canvas, x, base + unit * 0.1, unit * 0.2)
    if subject.has("castle", "palace"):
        _draw_castle(pen, palette, lights)
        return
    wall, roof = _materials(canvas, palette, snow)
    for side in (-1, 1):
        beside = Pen(canvas, x + side * unit * 0.24, base + unit * 0.09, unit * 0.3)
        if snow:
            draw_pine(beside, mix(palette.near, palette.leaf, 0.4), True, canvas.rng)
        else:
            draw_round_tree(beside, palette.leaf, canvas.rng)
    wall = subject.color_of("house", "cottage") or wall
    _draw_smoke(pen, palette)
    draw_house(pen, palette, wall, roof, lights)


def _draw_castle(pen: Pen, palette: Palette, lights: bool) -> None:
    """Draw a castle with pointed towers."""
    stone = mix(color("#cfc4b8"), palette.sky[1], 0.45 if palette.dark else 0.2)
    stone = lit(stone, -0.3) if palette.dark else stone
    roof = mix(palette.accents[0], palette.accents[3], 0.4)
    pane = lit(palette.accents[1], 0.3) if lights else mix(palette.near, palette.water, 0.3)
    for x, wide, high in ((-0.35, 0.2, 1.9), (0.4, 0.18, 1.65), (0.05, 0.26, 2.3)):
        _draw_keep(pen, (x, wide, high), stone, roof, pane, palette)
    pen.polygon(
        [(-1.0, 0), (-1.0, -0.8), (1.0, -0.8), (1.0, 0)], lit(stone, 0.08), lit(stone, -0.12)
    )
    for n in range(9):
        x = -1.0 + n * 0.235
        pen.polygon(
            [(x, -0.78), (x, -0.92), (x + 0.12, -0.92), (x + 0.12, -0.78)], lit(stone, 0.06)
        )
    for x in (-1.05, 1.05):
        _draw_keep(pen, (x, 0.24, 1.35), lit(stone, 0.04), roof, pane, palette)
    pen.blob(
        [(-0.2, 0), (-0.2, -0.35), (0, -0.55), (0.2, -0.35), (0.2, 0)], lit(palette.near, -0.2)
    )
    if lights:
        pen.glow(0, -1.2, 1.5, palette.accents[1], 0.25)


def _draw_keep(
    pen: Pen,
    place: tuple[float, float, float],
    stone: Color,
    roof: Color,
    pane: Color,
    palette: Palette,
) -> None:
    """Draw one round tower of a castle."""
    x, wide, high = place
    pen.polygon(
        [(x - wide, 0), (x - wide, -high), (x + wide, -high), (x + wide, 0)],
        stone,
        lit(stone, -0.1),
    )
    pen.polygon(
        [(x + wide * 0.3, 0), (x + wide * 0.3, -high), (x + wide, -high), (x + wide, 0)],
        veil(palette.near, 0.22),
    )
    pen.polygon(
        [(x - wide * 1.25, -high), (x, -high - wide * 2.6), (x + wide * 1.25, -high)],
        lit(roof, 0.1),
        lit(roof, -0.15),
    )
    pen.polygon(
        [(x, -high), (x, -high - wide * 2.6), (x + wide * 1.25, -high)], veil(palette.near, 0.2)
    )
    for part in (0.72, 0.88):
        pen.oval(x, -high * part, wide * 0.2, wide * 0.32, pane)


def _draw_path(canvas: Canvas, palette: Palette, top: float, snow: bool) -> None:
    """Wind a path from the viewer's feet towards the houses."""
    unit = canvas.unit
    tone = mix(color("#e2c79a"), palette.near, 0.2 + (0.4 if palette.dark else 0))
    if snow:
        tone = mix(lit(palette.sky[2], 0.5), palette.near, 0.22)
    middle, bend = canvas.width * 0.5, canvas.rng.choice((-1, 1)) * unit * 0.09
    left, right = [], []
    for step in range(31):
        part = step / 30
        y = top + (canvas.height - top) * part
        x = middle + bend * math.sin(part * 4.2) * (0.4 + part)
        half = unit * (0.006 + 0.085 * part**1.6)
        left.append((x - half, y))
        right.append((x + half, y))
    canvas.draw.polygon([*left, *reversed(right)], fill=veil(tone, 0.85))


def _draw_foreground(canvas: Canvas, palette: Palette, tone: Color, snow: bool) -> None:
    """Put grass and a fence at the viewer's feet."""
    rng, unit = canvas.rng, canvas.unit
    wood = mix(color("#7a5a44"), palette.near, 0.4)
    top = canvas.height - unit * 0.1
    for side in (-1, 1):
        start = canvas.width * 0.5 + side * unit * 0.22
        posts = int(canvas.width * 0.5 / (unit * 0.085)) + 1
        for n in range(posts):
            x = start + side * n * unit * 0.085
            canvas.draw.rounded_rectangle(
                (x - unit * 0.008, top - unit * 0.075, x + unit * 0.008, top + unit * 0.02),
                unit * 0.004,
                fill=wood,
            )
        far = start + side * posts * unit * 0.085
        for lift in (0.055, 0.025):
            canvas.draw.line(
                (start, top - unit * lift, far, top - unit * lift),
                fill=lit(wood, 0.12),
                width=round(unit * 0.009),
            )
    for _ in range(round(90 * canvas.width / unit)):
        x, y = rng.uniform(0, canvas.width), canvas.height - unit * 0.1 * rng.random() ** 1.5
        draw_grass(canvas, x, y + unit * 0.02, unit * 0.03, lit(tone, -0.1 if snow else -0.25))
