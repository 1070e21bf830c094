"""The sea: open water with sun glitter, a beach, a rocky cape with a lighthouse, boats."""

import math

from .canvas import Canvas
from .creatures import draw_creatures
from .palettes import Palette, color, lit, mix, veil
from .pen import Pen
from .ridge import trace_ridge
from .sky import draw_sky
from .subject import Subject
from .things import draw_lighthouse, draw_palm, draw_sailboat
from .waterline import draw_waterline, find_swimmer

_BELOW = frozenset(
    {"pool", "swim", "swimming", "swimmer", "underwater", "waterline", "fish", "whale", "dolphin"}
    | {"shark", "coral", "reef", "diver", "diving", "turtle", "octopus", "aquarium", "snorkel"}
    | {"jellyfish", "mermaid"}
)
_BEACH = ("beach", "shore", "surf", "palm", "crab", "holiday", "lagoon")


def draw_sea(canvas: Canvas, subject: Subject, palette: Palette) -> None:
    """Draw the sea in the way the prompt's other words ask for."""
    if is_under_water(subject):
        draw_waterline(canvas, subject, palette)
        return
    rng = canvas.rng
    horizon = canvas.level(rng.uniform(0.46, 0.54), 1.5)
    sun_x, _ = draw_sky(canvas, subject, palette, horizon)
    _draw_islands(canvas, palette, horizon)
    _draw_water(canvas, palette, horizon)
    _draw_glitter(canvas, palette, sun_x, horizon, 0.0)
    side = -1 if sun_x > canvas.width / 2 else 1
    if subject.has("lighthouse", "cliff", "coast"):
        _draw_cape(canvas, palette, horizon, side)
    beach = subject.has(*_BEACH)
    boats = subject.has("boat", "ship", "sailboat", "sail", "sailing", "yacht", "pirate", "captain")
    if boats or not (beach or subject.has("lighthouse") or subject.creatures):
        _draw_boats(canvas, subject, palette, horizon, side)
    _draw_near_waves(canvas, palette, horizon, 0.86 if beach else 1.0)
    _draw_glitter(canvas, palette, sun_x, horizon, 0.5)
    if beach:
        _draw_beach(canvas, palette, side)
    draw_creatures(canvas, subject, palette, ground=0.9 if beach else 0.0, horizon=horizon)


def is_under_water(subject: Subject) -> bool:
    """Return whether a sea is drawn from below its surface, where no boat is seen."""
    swim = any(one.kind in ("fish", "whale", "duck") for one in subject.creatures)
    return swim or subject.has(*_BELOW)


def is_in_sea(kind: str, subject: Subject) -> bool:
    """Return whether an animal of the prompt is drawn at sea: no cat is where no beach is."""
    if is_under_water(subject):
        swimmer = find_swimmer(subject)
        return kind in ("fish", "whale") or (swimmer is not None and swimmer.kind == kind)
    return kind in ("bird", "butterfly") or subject.has(*_BEACH)


def _draw_islands(canvas: Canvas, palette: Palette, horizon: float) -> None:
    """Put a hazy coast on part of the horizon: it gives the water its distance."""
    rng, unit = canvas.rng, canvas.unit
    for layer in range(2):
        tone = mix(palette.far, palette.sky[2], 0.45 - 0.3 * layer)
        start = rng.uniform(-0.1, 0.7) * canvas.width
        wide = unit * rng.uniform(0.35, 0.7)
        tops = [
            (x, y)
            for x, y in trace_ridge(canvas, horizon, unit * 0.09, unit * 0.13, 3, False)
            if start <= x <= start + wide
        ]
        if len(tops) > 2:
            span = tops[-1][0] - tops[0][0]
            faded = [
                (
                    x,
                    horizon
                    - (horizon - y) * math.sqrt(abs(math.sin(math.pi * (x - tops[0][0]) / span))),
                )
                for x, y in tops
            ]
            canvas.ground(faded, [tone, mix(tone, palette.sky[2], 0.4)], horizon + 1)


def _draw_water(canvas: Canvas, palette: Palette, horizon: float) -> None:
    """Lay the water: sky-colored far away, deep below, with bands of swell between."""
    rng, unit = canvas.rng, canvas.unit
    far = mix(palette.sky[2], palette.water, 0.28)
    middle = mix(palette.sky[1], palette.water, 0.6)
    canvas.gradient([far, middle, palette.water, lit(palette.water, -0.25)], horizon, canvas.height)
    depth = canvas.height - horizon
    pale, deep = mix(palette.sky[1], palette.light, 0.3), lit(palette.water, -0.4)
    for _ in range(round(300 * canvas.width / unit)):
        near = rng.random() ** 1.6
        y, x = horizon + depth * (0.01 + 0.99 * near), rng.uniform(-0.05, 1.05) * canvas.width
        wide, high = (
            unit * (0.02 + 0.13 * near) * rng.uniform(0.5, 1.3),
            unit * (0.001 + 0.006 * near),
        )
        tone = veil(pale, rng.uniform(0.1, 0.26)) if rng.random() < 0.5 else veil(deep, 0.14)
        canvas.draw.polygon(
            [(x - wide, y), (x - wide * 0.3, y - high), (x + wide, y), (x + wide * 0.2, y + high)],
            fill=tone,
        )


def _draw_glitter(
    canvas: Canvas, palette: Palette, sun_x: float, horizon: float, start: float
) -> None:
    """Lay the sun's path on the water, wider and coarser towards the viewer."""
    rng, unit = canvas.rng, canvas.unit
    depth = min(canvas.height - horizon, unit * 1.1)
    bright = lit(palette.light, 0.3)
    if start == 0:
        canvas.glow(sun_x, horizon + depth * 0.05, unit * 0.4, palette.light, 0.45)
    for _ in range(round(520 * (1 - start))):
        near = rng.uniform(start, 1)
        y = horizon + depth * near**1.25
        spread = unit * (0.035 + 0.16 * near)
        x = sun_x + rng.gauss(0, 0.5) * spread
        wide = unit * (0.004 + 0.026 * near) * rng.uniform(0.4, 1.4)
        high = unit * (0.0008 + 0.0032 * near)
        fade = (0.9 - 0.6 * near) * rng.uniform(0.5, 1)
        canvas.draw.ellipse((x - wide, y - high, x + wide, y + high), fill=veil(bright, fade))


def _draw_near_waves(canvas: Canvas, palette: Palette, horizon: float, end: float) -> None:
    """Roll a few rounded waves in front; their crests catch the light here and there."""
    rng, unit = canvas.rng, canvas.unit
    depth = canvas.height * end - horizon
    pale = mix(palette.light, palette.sky[1], 0.3)
    for layer in range(5):
        near = 0.5 + 0.12 * layer
        base, high = horizon + depth * near, unit * (0.007 + 0.007 * layer)
        length, shift = unit * (0.12 + 0.07 * layer), rng.uniform(0, 9)
        tops, crest = [], []
        for step in range(201):
            x = canvas.width * step / 200
            turn = x / length + shift
            wave = (
                math.sin(turn) + 0.45 * math.sin(turn * 1.9 + shift) + 0.25 * math.sin(turn * 3.1)
            )
            y = base - high * wave
            tops.append((x, y))
            crest.append((x, y + max(0.0, wave + 0.1) * unit * (0.002 + 0.0022 * layer)))
        tone = mix(mix(palette.sky[1], palette.water, 0.72), lit(palette.water, -0.3), near)
        canvas.ground(tops, [lit(tone, 0.2), tone, lit(palette.water, -0.3)], canvas.height)
        canvas.draw.polygon([*tops, *reversed(crest)], fill=veil(pale, 0.6))
        for _ in range(round(42 * canvas.width / unit)):
            x, y = tops[rng.randrange(len(tops))]
            y += rng.random() * depth * 0.12 + high
            wide, thick = unit * rng.uniform(0.012, 0.05) * near, unit * 0.0016 * (1 + near)
            ink = veil(pale, 0.3) if rng.random() < 0.55 else veil(lit(palette.water, -0.5), 0.22)
            canvas.draw.ellipse((x - wide, y - thick, x + wide, y + thick), fill=ink)


def _draw_cape(canvas: Canvas, palette: Palette, horizon: float, side: int) -> None:
    """Build a rocky cape at one side and stand the lighthouse on it."""
    rng, unit = canvas.rng, canvas.unit
    foot = horizon + min(canvas.height - horizon, unit * 0.5) * 0.55
    edge = canvas.width * 0.5 + side * canvas.width * 0.5
    reach = min(canvas.width * 0.62, unit * 0.62)
    rock, dark = mix(palette.near, palette.far, 0.18), lit(palette.near, -0.35)
    for layer, (length, rise) in enumerate(((1.0, 0.12), (0.72, 0.2))):
        steps = 26
        tops = []
        for step in range(steps + 1):
            part = step / steps
            height = unit * rise * (1 - part**3.2) * (1 + rng.uniform(-0.06, 0.06))
            tops.append((edge - side * part * reach * length, foot + unit * 0.03 * layer - height))
        bottom = foot + unit * (0.03 + 0.03 * layer)
        outline = [(edge + side * unit * 0.1, tops[0][1]), *tops]
        outline += [(tops[-1][0], bottom), (edge + side * unit * 0.1, bottom)]
        canvas.shape(outline, [mix(rock, palette.leaf, 0.3), rock, dark])
        for x, y in tops[2:-2:2]:
            slant = unit * rng.uniform(0.015, 0.05)
            canvas.draw.polygon(
                [
                    (x, y + unit * 0.008),
                    (x - side * slant, bottom),
                    (x + side * slant * 0.3, bottom),
                ],
                fill=veil(dark, 0.28),
            )
    canvas.soft(
        lit(palette.light, 0.5),
        [
            (
                edge - side * reach * part - unit * 0.06,
                foot + unit * 0.045,
                edge - side * reach * part + unit * 0.06,
                foot + unit * 0.065,
            )
            for part in (0.1, 0.3, 0.5, 0.65, 0.8, 0.95)
        ],
        unit * 0.006,
        0.75,
    )
    x = edge - side * reach * 0.42
    size = min(unit * 0.13, (foot - unit * 0.125) / 3.7)
    draw_lighthouse(Pen(canvas, x, foot - unit * 0.125, size, side < 0), palette)


def _draw_boats(
    canvas: Canvas, subject: Subject, palette: Palette, horizon: float, side: int
) -> None:
    """Sail one boat near the sun's path and perhaps small ones far off."""
    rng, unit = canvas.rng, canvas.unit
    depth = min(canvas.height - horizon, unit * 0.6)
    for _ in range(max(1, round(canvas.width / unit * 0.8))):
        x = rng.uniform(0.08, 0.92) * canvas.width
        draw_sailboat(
            Pen(canvas, x, horizon + depth * 0.05, unit * 0.022, rng.random() < 0.5), palette, False
        )
    x = canvas.width * (0.5 + side * rng.uniform(0.04, 0.16))
    size = unit * rng.uniform(0.15, 0.19)
    hull = subject.color_of("boat", "sailboat", "ship", "yacht", "sail")
    draw_sailboat(Pen(canvas, x, horizon + depth * 0.42, size, side < 0), palette, True, hull)


def _draw_beach(canvas: Canvas, palette: Palette, side: int) -> None:
    """Draw sand with a seam of foam, and a palm leaning in."""
    rng, unit = canvas.rng, canvas.unit
    sand = mix(color("#f2d9a6"), palette.sky[1], 0.35 if palette.dark else 0.08)
    sand = lit(sand, -0.45) if palette.dark else sand
    base = canvas.height - unit * 0.17
    shift = rng.uniform(0, 6)
    tops = []
    for step in range(121):
        part = step / 120
        lean = side * (part - 0.5) * unit * 0.1
        x = part * canvas.width
        tops.append((x, base - lean - unit * 0.016 * math.sin(x / unit * 5 + shift)))
    for lift, tone in ((0.028, veil((255, 255, 255), 0.25)), (0.014, veil((255, 255, 255), 0.7))):
        canvas.draw.polygon(
            [
                *((x, y - unit * lift) for x, y in tops),
                (canvas.width, canvas.height),
                (0, canvas.height),
            ],
            fill=tone,
        )
    canvas.ground(tops, [lit(sand, -0.16), sand, lit(sand, -0.12)], canvas.height)
    for _ in range(round(160 * canvas.width / unit)):
        x, y = rng.uniform(0, canvas.width), canvas.height - unit * 0.15 * rng.random()
        canvas.dot(x, y, unit * 0.0018, veil(lit(sand, rng.choice((-0.3, 0.5))), 0.5))
    x = canvas.width * (0.5 + side * 0.4)
    draw_palm(Pen(canvas, x, canvas.height - unit * 0.08, unit * 0.3, side > 0), palette)
