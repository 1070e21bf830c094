"""The forest: trunks or pines one behind the other, light falling between, a clearing."""

from PIL import Image, ImageDraw, ImageFilter

from .canvas import Canvas
from .creatures import draw_creatures
from .palettes import Color, Palette, color, lit, mix, veil
from .pen import Pen
from .ridge import trace_ridge
from .sky import draw_sky
from .subject import Subject
from .things import draw_house
from .trees import draw_grass, draw_pine, draw_round_tree, draw_trunk


def draw_forest(canvas: Canvas, subject: Subject, palette: Palette) -> None:
    """Draw a clearing in a forest that fits the season."""
    rng, unit = canvas.rng, canvas.unit
    snow = subject.mood == "winter"
    floor = canvas.level(0.7, 0.7)
    sun = draw_sky(canvas, subject, palette, floor)
    pale = mix(palette.sky[2], palette.light, 0.3)
    leafy = subject.mood in ("autumn", "spring") or subject.has(
        "tree", "oak", "leaf", "birch", "path"
    )
    soil = mix(palette.leaf, palette.near, 0.35)
    if snow:
        soil = mix(lit(palette.sky[2], 0.55), palette.sky[0], 0.16)
    reach = min(floor, unit * 0.95)
    for layer in range(4):
        near = layer / 3
        needles = mix(
            mix(palette.leaf, palette.near, 0.4 + 0.25 * near), pale, 0.68 * (1 - near) ** 0.9
        )
        if snow:
            needles = mix(needles, palette.sky[0], 0.22)
        foot = floor + unit * 0.05 * layer - unit * 0.05
        _draw_stand(canvas, palette, foot, reach * (0.62 + 0.24 * near), needles, near, snow, leafy)
        tone = mix(soil, pale, 0.5 * (1 - near))
        tops = trace_ridge(canvas, foot + unit * 0.02, unit * 0.035, unit * 0.4, 2, False)
        canvas.ground(tops, [lit(tone, 0.1), tone, lit(tone, -0.12)], canvas.height)
        mist = [(-unit, foot - unit * 0.09, canvas.width + unit, foot + unit * 0.0)]
        canvas.soft(pale, mist, unit * 0.045, 0.34 * (1 - near * 0.8))
    canvas.glow(sun[0], sun[1], unit * 0.7, palette.light, 0.3)
    _draw_beams(canvas, palette, sun[0])
    _draw_floor(canvas, palette, soil, floor, snow)
    if subject.has("cabin", "hut", "house"):
        pen = Pen(canvas, canvas.width * 0.5, floor + unit * 0.1, unit * 0.19, rng.random() < 0.5)
        wood = color("#9a6a44")
        draw_house(pen, palette, wood, lit(palette.sky[2], 0.5) if snow else lit(wood, -0.3), True)
    if subject.has("mushroom", "fairy", "elf"):
        for _ in range(7):
            x, y = (
                rng.uniform(0.1, 0.9) * canvas.width,
                canvas.height - unit * rng.uniform(0.07, 0.16),
            )
            _draw_mushroom(Pen(canvas, x, y, unit * rng.uniform(0.04, 0.09)), palette)
    _draw_frame(canvas, palette, snow, leafy, subject.has("birch"))
    draw_creatures(canvas, subject, palette, ground=0.88, horizon=floor * 0.6)


def _draw_stand(
    canvas: Canvas,
    palette: Palette,
    foot: float,
    high: float,
    needles: Color,
    near: float,
    snow: bool,
    leafy: bool,
) -> None:
    """Plant one row of trees, leaving the middle of the near rows open."""
    rng, unit = canvas.rng, canvas.unit
    broad = leafy and not snow
    for _ in range(round((26 - 13 * near) * (0.62 if broad else 1) * canvas.width / unit)):
        x = rng.uniform(-0.02, 1.02) * canvas.width
        middle = abs(x / canvas.width - 0.5) * 2
        if middle < 0.5 * near:
            continue
        size = high * rng.uniform(0.55, 1.05) * (0.8 if broad else 1) * (0.75 + 0.4 * middle * near)
        pen = Pen(canvas, x, foot + unit * 0.02, size, rng.random() < 0.5)
        if broad:
            tone = needles
            if near > 0:
                tone = mix(
                    needles,
                    rng.choice((palette.leaf, palette.leaf, *palette.accents[:2])),
                    0.7 * near,
                )
            draw_round_tree(pen, tone, rng)
        else:
            draw_pine(pen, lit(needles, rng.uniform(-0.1, 0.08)), snow and near > 0.2, rng)


def _draw_beams(canvas: Canvas, palette: Palette, sun_x: float) -> None:
    """Let light fall in slanted beams between the trees."""
    rng, unit = canvas.rng, canvas.unit
    mask = Image.new("L", (canvas.width // 6 + 1, canvas.height // 6 + 1))
    pen = ImageDraw.Draw(mask)
    away = 1 if sun_x < canvas.width / 2 else -1
    for _ in range(7):
        x, wide = (sun_x + unit * rng.uniform(-0.3, 0.3)) / 6, unit / 6 * rng.uniform(0.02, 0.05)
        lean, low = away * unit / 6 * rng.uniform(0.2, 0.55), mask.height * rng.uniform(0.75, 0.95)
        shape = [(x, 0), (x + wide, 0), (x + lean + 3 * wide, low), (x + lean - wide, low)]
        pen.polygon(shape, fill=rng.randint(26, 52))
    canvas.wash(lit(palette.light, 0.2), mask.filter(ImageFilter.GaussianBlur(unit / 6 * 0.012)))


def _draw_floor(canvas: Canvas, palette: Palette, soil: Color, floor: float, snow: bool) -> None:
    """Give the clearing its surface: drifts of snow, or grass, leaves and flowers."""
    rng, unit = canvas.rng, canvas.unit
    depth = canvas.height - floor
    if snow:
        for _ in range(round(26 * canvas.width / unit)):
            near = rng.random()
            x, y = rng.uniform(0, canvas.width), floor + depth * (0.25 + 0.75 * near)
            wide = unit * (0.05 + 0.12 * near)
            canvas.draw.ellipse(
                (x - wide, y - unit * 0.006, x + wide, y + unit * 0.008),
                fill=veil(mix(soil, palette.sky[0], 0.5), 0.2),
            )
        return
    for _ in range(round(240 * canvas.width / unit)):
        near = rng.random() ** 0.7
        x, y = rng.uniform(0, canvas.width), floor + depth * (0.22 + 0.8 * near)
        if rng.random() < 0.55:
            draw_grass(canvas, x, y, unit * (0.012 + 0.035 * near), mix(palette.leaf, soil, 0.4))
        else:
            tone = rng.choice((*palette.accents, palette.leaf))
            wide = unit * (0.002 + 0.005 * near)
            canvas.draw.ellipse(
                (x - wide, y - wide * 0.55, x + wide, y + wide * 0.55), fill=veil(tone, 0.85)
            )


def _draw_mushroom(pen: Pen, palette: Palette) -> None:
    """Draw a spotted mushroom."""
    cap = color("#d8432f")
    pen.blob([(-0.15, 0), (-0.1, -0.6), (0.1, -0.6), (0.15, 0)], lit(palette.accents[2], 0.3))
    pen.blob(
        [(-0.6, -0.5), (-0.45, -0.95), (0, -1.15), (0.45, -0.95), (0.6, -0.5), (0, -0.42)],
        lit(cap, 0.1),
        cap,
    )
    for x, y, size in (
        (-0.28, -0.8, 0.1),
        (0.1, -0.95, 0.12),
        (0.34, -0.68, 0.08),
        (-0.02, -0.62, 0.09),
    ):
        pen.oval(x, y, size, size * 0.8, (255, 250, 240))


def _draw_frame(canvas: Canvas, palette: Palette, snow: bool, leafy: bool, birch: bool) -> None:
    """Put trunks at the sides: the viewer stands under trees and looks into the light."""
    rng, unit = canvas.rng, canvas.unit
    bark = lit(mix(palette.near, color("#3a2a24"), 0.35), -0.1)
    if birch:
        bark = mix(color("#e9e4d8"), palette.near, 0.15)
    for side in (0, 1):
        for n in range(2):
            away = unit * (0.05 + 0.14 * n) * rng.uniform(0.7, 1.1)
            x = away if side == 0 else canvas.width - away
            pen = Pen(canvas, x, canvas.height * (1.01 - 0.06 * n), unit * (0.085 - 0.03 * n))
            draw_trunk(pen, lit(bark, 0.1 * n), birch, rng)
            if snow:
                pen.oval(0, 0.1, 1.3, 0.34, mix(lit(palette.sky[2], 0.55), palette.sky[0], 0.2))
    tone = lit(bark, 0.04) if not leafy else mix(bark, palette.leaf, 0.35)
    boxes = []
    for _ in range(round(20 * canvas.width / unit)):
        edge = rng.choice((0.0, 1.0))
        x = canvas.width * edge + (1 - 2 * edge) * unit * 0.4 * rng.random() ** 1.7
        boxes.append((x - unit * 0.09, -unit * 0.12, x + unit * 0.09, unit * 0.1 * rng.random()))
    if leafy and not snow:
        canvas.soft(tone, boxes, unit * 0.012, 0.9)
