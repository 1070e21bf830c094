"""The city: layers of towers with lit windows, neon signs, a wet street or a river."""

from itertools import pairwise

from .canvas import Canvas
from .creatures import draw_creatures
from .palettes import Color, Palette, color, lit, mix, veil
from .pen import Pen
from .sky import draw_sky
from .subject import Subject


def draw_city(canvas: Canvas, subject: Subject, palette: Palette) -> None:
    """Draw a skyline above water or a wet street."""
    rng, unit = canvas.rng, canvas.unit
    street = canvas.level(0.74, 0.9)
    sun = draw_sky(canvas, subject, palette, street)
    lights = palette.dark or subject.mood in ("sunset", "storm")
    canvas.glow(canvas.width / 2, street, unit * 0.8, palette.sky[2], 0.5)
    reach = min(street * 0.86, unit * 0.8)
    _draw_row(canvas, palette, street, reach * 0.72, 0.075, 0.0, lights)
    canvas.soft(
        palette.sky[2],
        [(-unit, street - unit * 0.22, canvas.width + unit, street + unit * 0.1)],
        unit * 0.09,
        0.3,
    )
    _draw_row(canvas, palette, street, reach * 0.66, 0.1, 0.45, lights)
    if subject.has("tower", "tokyo", "paris", "eiffel"):
        x = canvas.width * rng.choice((0.34, 0.5, 0.64))
        _draw_lattice(Pen(canvas, x, street, reach * 0.98), palette, lights)
    canvas.glow(sun[0], sun[1], unit * 0.5, palette.light, 0.12)
    _draw_row(canvas, palette, street, reach * 0.42, 0.12, 0.85, lights)
    if subject.mood == "neon" or subject.has("neon", "tokyo", "cyberpunk", "downtown", "hong"):
        _draw_signs(canvas, palette, street)
    _draw_quay(canvas, palette, street, lights)
    canvas.mirror(street, canvas.height, lit(palette.water, -0.35), 0.8, unit * 0.03)
    _draw_wet_light(canvas, palette, street, lights)
    if subject.creatures:
        _draw_ledge(canvas, palette)
    draw_creatures(canvas, subject, palette, ground=0.93, horizon=street * 0.6)


def _draw_row(
    canvas: Canvas,
    palette: Palette,
    street: float,
    reach: float,
    wide: float,
    near: float,
    lights: bool,
) -> None:
    """Draw one row of towers; near rows are darker, with distinct windows."""
    rng, unit = canvas.rng, canvas.unit
    haze = mix(palette.sky[1], palette.sky[2], 0.5)
    x = -unit * rng.uniform(0, 0.08)
    while x < canvas.width:
        span = unit * wide * rng.uniform(0.6, 1.35)
        high = reach * (0.34 + 0.66 * rng.random() ** 1.3)
        front = palette.near if palette.dark else mix(palette.water, palette.near, 0.3)
        tone = lit(mix(mix(palette.far, haze, 0.35), front, near), rng.uniform(-0.08, 0.12))
        if not palette.dark:
            tone = mix(tone, rng.choice(palette.accents), 0.22)
        _draw_tower(canvas, palette, (x, street - high, x + span, street), tone, near, lights)
        x += span * rng.uniform(0.86, 1.12)


def _draw_tower(
    canvas: Canvas,
    palette: Palette,
    box: tuple[float, float, float, float],
    tone: Color,
    near: float,
    lights: bool,
) -> None:
    """Draw one tower: a roof of some kind, a shaded side, and windows in a grid."""
    rng, unit = canvas.rng, canvas.unit
    left, top, right, bottom = box
    span = right - left
    roof = rng.randrange(6)
    if roof == 0:
        canvas.draw.polygon(
            [(left, top), (left + span / 2, top - span * 0.5), (right, top)], fill=lit(tone, -0.05)
        )
    elif roof == 1:
        canvas.draw.rectangle(
            (left + span * 0.2, top - unit * 0.02, right - span * 0.2, top), fill=tone
        )
        canvas.draw.rectangle(
            (left + span * 0.38, top - unit * 0.04, right - span * 0.38, top), fill=tone
        )
    elif roof == 2:
        mast = left + span * 0.5
        canvas.draw.line(
            (mast, top - unit * 0.075, mast, top), fill=tone, width=max(2, round(unit * 0.003))
        )
        if lights:
            canvas.glow(mast, top - unit * 0.075, unit * 0.014, color("#ff5a5a"), 0.9)
    elif roof == 3:
        canvas.draw.polygon([(left, top), (right, top - span * 0.35), (right, top)], fill=tone)
    base = mix(tone, palette.sky[2], 0.3 * (1 - near))
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    canvas.shape(corners, [tone, base])
    canvas.draw.rectangle((left + span * 0.66, top, right, bottom), fill=veil(lit(tone, -0.7), 0.2))
    cell = unit * (0.011 + 0.008 * near)
    cols = max(2, int(span * 0.84 / cell))
    rows = int((bottom - top) / (cell * 1.5)) - 1
    step = span * 0.84 / cols
    warm = (palette.accents[1], palette.accents[0], lit(palette.light, 0.2), palette.accents[1])
    share = (0.34 + 0.12 * near) if lights else 0.85
    style = rng.random()
    for row in range(rows):
        for col in range(cols):
            if rng.random() > share:
                continue
            x = left + span * 0.08 + col * step
            y = top + cell * (0.8 + row * 1.5)
            if lights:
                fill = veil(
                    lit(warm[rng.randrange(4)], 0.2), rng.uniform(0.35, 0.95) * (0.45 + 0.55 * near)
                )
            else:
                fill = veil(lit(palette.sky[1], 0.35), 0.22 + 0.2 * near)
            tall = cell * (1.15 if style < 0.3 else 0.8)
            canvas.draw.rectangle((x + step * 0.14, y, x + step * 0.8, y + tall), fill=fill)


def _draw_lattice(pen: Pen, palette: Palette, lights: bool) -> None:
    """Draw an iron tower, 1 unit high, recognizable as Tokyo's or Paris's."""
    steel = color("#f2703c") if lights else mix(palette.accents[0], palette.near, 0.3)
    glow = lit(palette.accents[1], 0.3)
    if lights:
        pen.glow(0, -0.45, 0.5, steel, 0.5)
    profile = ((0.0, 0.2), (0.2, 0.105), (0.34, 0.066), (0.6, 0.03), (0.8, 0.014), (1.0, 0.003))
    for way in (-1, 1):
        outer = [(way * half, -high) for high, half in profile]
        inner = [
            (way * max(0.0, half * 0.62 - 0.003), -high) for high, half in reversed(profile[:5])
        ]
        pen.polygon([*outer, *inner], steel)
    for (low, wide), (high, narrow) in pairwise(profile):
        pieces = max(2, round((high - low) * 22))
        for n in range(pieces):
            a, b = n / pieces, (n + 1) / pieces
            left, right = wide + (narrow - wide) * a, wide + (narrow - wide) * b
            y, z = low + (high - low) * a, low + (high - low) * b
            if low > 0 or n > 1:
                pen.stroke([(-left, -y), (right, -z)], 0.005, steel)
                pen.stroke([(left, -y), (-right, -z)], 0.005, steel)
    for high, half in ((0.2, 0.12), (0.35, 0.08), (0.66, 0.04)):
        pen.polygon(
            [
                (-half, -high),
                (half, -high),
                (half * 0.94, -high - 0.022),
                (-half * 0.94, -high - 0.022),
            ],
            lit(steel, 0.25),
        )
    if lights:
        for high, half in ((0.21, 0.11), (0.36, 0.07), (0.67, 0.035)):
            for n in range(-3, 4):
                pen.oval(half * n / 3, -high, 0.005, 0.005, glow)


def _draw_signs(canvas: Canvas, palette: Palette, street: float) -> None:
    """Hang glowing signs with strokes that look like writing but are none."""
    rng, unit = canvas.rng, canvas.unit
    for _ in range(round(11 * canvas.width / unit)):
        tone = rng.choice(palette.accents)
        tall = rng.random() < 0.7
        wide, high = (0.026, rng.uniform(0.08, 0.17)) if tall else (rng.uniform(0.07, 0.12), 0.03)
        x, y = rng.uniform(0, canvas.width), street - unit * rng.uniform(0.07, 0.24)
        box = (x, y, x + unit * wide, y + unit * high)
        canvas.glow((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, unit * 0.12, tone, 0.55)
        line = max(2, round(unit * 0.003))
        canvas.draw.rounded_rectangle(
            box, unit * 0.006, fill=lit(tone, -0.72), outline=lit(tone, 0.35), width=line
        )
        count = int(max(wide, high) / 0.024)
        for n in range(count):
            part = (n + 0.5) / count
            cx = (box[0] + box[2]) / 2 if tall else box[0] + (box[2] - box[0]) * part
            cy = box[1] + (box[3] - box[1]) * part if tall else (box[1] + box[3]) / 2
            r = unit * 0.0075
            ink = lit(tone, 0.6)
            for _ in range(3):
                if rng.random() < 0.5:
                    shift = rng.uniform(-r, r)
                    canvas.draw.line((cx - r, cy + shift, cx + r, cy + shift), fill=ink, width=line)
                else:
                    shift = rng.uniform(-r, r)
                    canvas.draw.line((cx + shift, cy - r, cx + shift, cy + r), fill=ink, width=line)


def _draw_quay(canvas: Canvas, palette: Palette, street: float, lights: bool) -> None:
    """Draw the edge of the water with a row of street lamps."""
    unit = canvas.unit
    dark = lit(palette.near, -0.3)
    canvas.gradient([lit(dark, 0.1), dark], street - unit * 0.014, street)
    step = unit * 0.11
    x = step * canvas.rng.random()
    while x < canvas.width:
        canvas.draw.line(
            (x, street - unit * 0.06, x, street), fill=dark, width=max(2, round(unit * 0.0028))
        )
        canvas.dot(
            x, street - unit * 0.062, unit * 0.005, lit(palette.accents[1], 0.4) if lights else dark
        )
        if lights:
            canvas.glow(x, street - unit * 0.062, unit * 0.05, palette.accents[1], 0.6)
        x += step


def _draw_wet_light(canvas: Canvas, palette: Palette, street: float, lights: bool) -> None:
    """Let lights run down the water in broken strokes."""
    rng, unit = canvas.rng, canvas.unit
    depth = canvas.height - street
    canvas.draw.line(
        (0, street, canvas.width, street), fill=veil(lit(palette.sky[2], 0.3), 0.4), width=2
    )
    tones = (
        palette.accents
        if lights
        else (lit(palette.sky[1], 0.4), palette.light, lit(palette.sky[2], 0.3))
    )
    for _ in range(round(26 * canvas.width / unit)):
        x, tone = rng.uniform(0, canvas.width), rng.choice(tones)
        length = min(depth, unit * 0.6) * rng.uniform(0.25, 0.85)
        for piece in range(12):
            part = piece / 12
            y, wide = street + length * part, unit * rng.uniform(0.004, 0.014) * (1 + part)
            fade = (0.6 if lights else 0.35) * (1 - part)
            left = x + rng.uniform(-1, 1) * unit * 0.004 * (1 + 2 * part)
            high = unit * 0.0022
            canvas.draw.ellipse(
                (left - wide, y - high, left + wide, y + high), fill=veil(tone, fade)
            )
    for _ in range(round(120 * canvas.width / unit)):
        near = rng.random()
        x, y, wide = (
            rng.uniform(0, canvas.width),
            street + depth * near,
            unit * (0.01 + 0.06 * near),
        )
        high = unit * (0.0006 + 0.0018 * near)
        canvas.draw.ellipse(
            (x - wide, y - high, x + wide, y + high), fill=veil(palette.sky[1], 0.16)
        )


def _draw_ledge(canvas: Canvas, palette: Palette) -> None:
    """Give an animal a wall to sit on, with the city behind it."""
    unit = canvas.unit
    top = canvas.height * 0.92
    stone = mix(palette.near, palette.far, 0.22)
    canvas.gradient([lit(stone, 0.12), stone, lit(stone, -0.4)], top, canvas.height)
    canvas.gradient([lit(stone, 0.3)], top, top + unit * 0.008)
