"""Space: stars, nebulae, planets with rings, and the ground of the moon."""

import math

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .canvas import Canvas
from .creatures import draw_creatures
from .palettes import MOODS, Color, Palette, color, lit, mix, veil
from .pen import Pen
from .people import draw_astronaut
from .ridge import trace_ridge
from .sky import draw_stars
from .subject import Subject
from .things import draw_rocket

_WORLDS = (
    ("e8a15c", "f6d9a0", "b8643c"),
    ("5fb3c8", "d6f0ee", "2f6f9c"),
    ("c86f98", "f6c3c8", "7d3c80"),
    ("8f86d8", "d6cdf6", "53479c"),
    ("74b88a", "dcf0c4", "2f7268"),
)


def draw_space(canvas: Canvas, subject: Subject, palette: Palette) -> None:
    """Draw deep space, seen from afar or from the ground of a moon."""
    rng, unit = canvas.rng, canvas.unit
    deep = palette if palette.dark else MOODS["night"]
    _draw_nebula(canvas, subject, deep)
    draw_stars(canvas, canvas.height * 1.25, 1.3)
    drain = bool(subject.creatures) or subject.has("moon", "mars", "alien", "crater")
    side = rng.choice((-1, 1))
    x, y = canvas.width * (0.5 + side * 0.14), canvas.height * 0.42
    size = unit * rng.uniform(0.21, 0.25)
    rings = subject.has("ring", "saturn") or (not drain and rng.random() < 0.6)
    first = rng.randrange(len(_WORLDS))
    if drain:
        x, y, size = canvas.width * (0.5 + side * 0.27), canvas.height * 0.27, unit * 0.13
        first = 1 if subject.has("moon", "earth") else first
    world = _tones(first, subject)
    _draw_planet(canvas, x, y, size, world, rings)
    if not drain or canvas.width > 1.5 * canvas.height or canvas.height > 1.5 * canvas.width:
        tall = canvas.height > canvas.width
        away = canvas.height * 0.3 if tall else canvas.width * 0.32
        left = x - side * (unit * 0.2 if tall else away)
        top = y + away if tall and not drain else canvas.height * 0.24
        _draw_planet(canvas, left, top, size * 0.24, _tones(first + 1, subject), False)
        if not drain:
            _draw_planet(
                canvas,
                x + side * size * 1.5,
                y + size * 1.25,
                size * 0.12,
                _tones(first + 3, subject),
                False,
            )
    ground = canvas.level(0.78, 0.5) if drain else float(canvas.height)
    if drain:
        red = subject.has("mars")
        soil = color("#b8603c") if red else mix(color("#c9c6d6"), deep.far, 0.3)
        _draw_moonscape(canvas, soil, ground, side)
    if subject.has("rocket", "spaceship", "spacecraft", "ship"):
        where = Pen(canvas, x - side * unit * 0.36, canvas.height * 0.52, unit * 0.1, side < 0)
        draw_rocket(where, palette)
    if subject.has("astronaut", "cosmonaut"):
        place = 0.5 - side * (0.05 if drain else 0.24)
        top = (
            max(canvas.height * 0.91, canvas.height - 0.15 * unit)
            if drain
            else min(canvas.height * 0.9, y + unit * 0.46)
        )
        draw_astronaut(
            Pen(canvas, canvas.width * place, top, unit * 0.17, side < 0), palette, not drain
        )
    draw_creatures(
        canvas, subject, palette, ground=0.9 if drain else 0.0, horizon=canvas.height * 0.5
    )


def _tones(index: int, subject: Subject) -> tuple[Color, Color, Color]:
    """Choose a planet's colors: the prompt's own, or one of the sets that go together."""
    if subject.tints:
        tint = subject.tints[index % len(subject.tints)]
        return tint, lit(tint, 0.6), lit(tint, -0.45)
    base, pale, deep = _WORLDS[index % len(_WORLDS)]
    return color("#" + base), color("#" + pale), color("#" + deep)


def _draw_nebula(canvas: Canvas, subject: Subject, deep: Palette) -> None:
    """Fill the dark with glowing clouds, so that space has depth."""
    rng = canvas.rng
    canvas.gradient(
        [lit(deep.sky[0], -0.25), deep.sky[0], deep.sky[1], lit(deep.sky[0], -0.1)],
        0,
        canvas.height,
    )
    tints = subject.tints or rng.choice(
        (
            (color("#7d3cb5"), color("#2463c4"), color("#e0607e")),
            (color("#1b8fa6"), color("#5a46c8"), color("#d9a066")),
            (color("#b5367a"), color("#4338a8"), color("#f2a65a")),
        )
    )
    for index, low in enumerate((96, 128, 150)):
        tone = lit(tints[index % len(tints)], 0.1)
        curve = [round(max(0.0, (v - low) / (255 - low)) ** 1.3 * 150) for v in range(256)]
        cloud = canvas.noise(1.6 + index, 5, 1.3).point(curve)
        canvas.wash(tone, cloud)
    dust = canvas.noise(2.2, 5, 1.6).point(
        [round(max(0.0, (v - 140) / 115) * 140) for v in range(256)]
    )
    canvas.wash(lit(deep.sky[0], -0.5), dust)


def _draw_planet(
    canvas: Canvas,
    x: float,
    y: float,
    radius: float,
    tones: tuple[Color, Color, Color],
    rings: bool,
) -> None:
    """Draw a banded ball lit from the upper left, with its rings before and behind."""
    rng = canvas.rng
    base, pale, deep = tones
    canvas.glow(x, y, radius * 1.7, base, 0.5)
    tilt = rng.uniform(-24, -12)
    pen = Pen(canvas, x, y, radius)
    if rings:
        _draw_rings(pen, tones, tilt, back=True)
    size = max(8, min(900, round(radius * 2)))
    ball = Image.new("RGB", (size, size), base)
    brush = ImageDraw.Draw(ball, "RGBA")
    at = -0.1
    while at < 1.1:
        high = rng.uniform(0.03, 0.14)
        tone = rng.choice((pale, deep, base, lit(base, 0.2), mix(base, deep, 0.5)))
        wave = rng.uniform(0, 6)
        edge = [(size * n / 24, size * (at + 0.012 * math.sin(n * 0.7 + wave))) for n in range(25)]
        low = [
            (size * n / 24, size * (at + high + 0.014 * math.sin(n * 0.9 + wave)))
            for n in range(25)
        ]
        brush.polygon([*edge, *reversed(low)], fill=veil(tone, rng.uniform(0.35, 0.8)))
        at += high * rng.uniform(0.8, 1.5)
    if size > 60:
        cx, cy = size * rng.uniform(0.35, 0.6), size * rng.uniform(0.5, 0.7)
        for grow, tone in ((1.0, lit(deep, -0.1)), (0.65, mix(base, pale, 0.5))):
            brush.ellipse(
                (
                    cx - size * 0.1 * grow,
                    cy - size * 0.05 * grow,
                    cx + size * 0.1 * grow,
                    cy + size * 0.05 * grow,
                ),
                fill=veil(tone, 0.7),
            )
    ball = ball.filter(ImageFilter.GaussianBlur(size / 260)).rotate(
        -tilt, Image.Resampling.BICUBIC, fillcolor=base
    )
    shade = Image.radial_gradient("L").resize((size * 2, size * 2))
    left, top = round(size * 0.74), round(size * 0.76)
    shade = shade.crop((left, top, left + size, top + size))
    dark = shade.point([max(22, round(255 - max(0, v - 24) * 1.9)) for v in range(256)])
    ball = ImageChops.multiply(
        ball, Image.merge("RGB", (dark, dark, dark.point([min(255, v + 14) for v in range(256)])))
    )
    mask = Image.new("L", (size, size))
    ImageDraw.Draw(mask).ellipse((1, 1, size - 2, size - 2), fill=255)
    full = (round(radius * 2), round(radius * 2))
    if full[0] > 1:
        place = (round(x - radius), round(y - radius))
        canvas.image.paste(ball.resize(full), place, mask.resize(full, Image.Resampling.BICUBIC))
    if rings:
        _draw_rings(pen, tones, tilt, back=False)


def _draw_rings(pen: Pen, tones: tuple[Color, Color, Color], tilt: float, back: bool) -> None:
    """Draw the far or the near half of the rings, with their gaps."""
    c, s = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    start = math.pi if back else 0.0
    bands = (
        (1.28, 1.36, 0.35),
        (1.38, 1.6, 0.85),
        (1.62, 1.74, 0.6),
        (1.79, 1.98, 0.75),
        (2.01, 2.06, 0.4),
    )
    for index, (inner, outer, opacity) in enumerate(bands):
        tone = mix(tones[1], tones[index % 2 * 2], 0.25 if index % 2 else 0.05)
        if back:
            tone = lit(tone, -0.3)
        for part in range(4):
            low, high = inner + (outer - inner) * part / 4, inner + (outer - inner) * (part + 1) / 4
            path = []
            for far, order in ((high, range(41)), (low, range(40, -1, -1))):
                for n in order:
                    turn = start + math.pi * n / 40
                    a, b = far * math.cos(turn), far * 0.27 * math.sin(turn)
                    path.append((a * c - b * s, a * s + b * c))
            pen.polygon(path, veil(lit(tone, 0.08 * (-1) ** part), opacity))


def _draw_moonscape(canvas: Canvas, soil: Color, ground: float, side: int) -> None:
    """Draw cratered ground in front, lit from the planet's side."""
    rng, unit = canvas.rng, canvas.unit
    back = trace_ridge(canvas, ground, unit * 0.14, unit * 0.22, 5, True)
    canvas.ground(
        back, [mix(soil, (20, 22, 44), 0.45), mix(soil, (20, 22, 44), 0.7)], canvas.height
    )
    tops = trace_ridge(canvas, ground + unit * 0.03, unit * 0.05, unit * 0.5, 2, False)
    canvas.ground(tops, [lit(soil, 0.22), soil, lit(soil, -0.42)], canvas.height)
    depth = canvas.height - ground
    craters = sorted(
        (rng.random(), rng.uniform(0, canvas.width)) for _ in range(round(17 * canvas.width / unit))
    )
    for near, x in craters:
        y = ground + depth * (0.18 + 0.8 * near)
        wide = unit * (0.012 + 0.075 * near) * rng.uniform(0.5, 1.2)
        pen = Pen(canvas, x, y, wide, side < 0)
        pen.oval(0, 0, 1.08, 0.36, veil(lit(soil, 0.45), 0.5))
        pen.oval(-0.05, 0.02, 1.0, 0.31, lit(soil, -0.25))
        pen.oval(-0.16, 0.06, 0.8, 0.22, lit(soil, -0.42))
    for _ in range(round(150 * canvas.width / unit)):
        near = rng.random()
        x, y = rng.uniform(0, canvas.width), ground + depth * (0.15 + 0.85 * near)
        canvas.dot(
            x, y, unit * (0.001 + 0.003 * near) * rng.uniform(0.4, 1), veil(lit(soil, -0.5), 0.5)
        )
