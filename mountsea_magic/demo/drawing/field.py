"""Fields and gardens: rows of flowers running to the horizon, hills, a windmill, balloons."""

import math

from .canvas import Canvas
from .creatures import draw_creatures
from .flowers import draw_balloon, draw_flower, draw_windmill
from .palettes import Color, Palette, color, lit, mix
from .pen import Pen
from .ridge import trace_ridge
from .sky import draw_sky
from .subject import Subject
from .trees import draw_grass, draw_round_tree

_FLOWERS = ("tulip", "sunflower", "daisy", "poppy", "lavender", "rose")


def draw_field(canvas: Canvas, subject: Subject, palette: Palette) -> None:
    """Draw a flowering field under a wide sky."""
    rng, unit = canvas.rng, canvas.unit
    horizon = canvas.level(rng.uniform(0.46, 0.52), 1.1)
    draw_sky(canvas, subject, palette, horizon)
    _draw_distance(canvas, palette, horizon)
    kind = next((flower for flower in _FLOWERS if subject.has(flower)), "")
    tints = _tints(subject, palette, kind)
    if subject.has("tulip", "windmill", "mill", "dutch", "holland"):
        x = canvas.width * rng.choice((0.22, 0.3, 0.72))
        draw_windmill(Pen(canvas, x, horizon + unit * 0.015, unit * 0.16), palette)
    if subject.has("balloon"):
        for n in range(3 + round(canvas.width / unit)):
            x = canvas.width * (n + rng.uniform(0.3, 0.7)) / (3 + round(canvas.width / unit))
            size = unit * (0.12, 0.055, 0.085)[n % 3]
            draw_balloon(
                Pen(canvas, x, horizon * rng.uniform(0.32, 0.68), size), palette, n, subject
            )
    rows = kind in ("tulip", "lavender") or subject.has("farm", "wheat", "orchard", "tractor")
    if rows:
        _draw_rows(canvas, palette, horizon, tints, kind)
    else:
        _draw_meadow(
            canvas, palette, horizon, tints, kind or rng.choice(("daisy", "poppy", "tulip"))
        )
    _draw_front(
        canvas, palette, tints, kind or rng.choice(("daisy", "poppy")), bool(subject.creatures)
    )
    draw_creatures(canvas, subject, palette, ground=0.9, horizon=horizon)


def _tints(subject: Subject, palette: Palette, kind: str) -> tuple[Color, ...]:
    """Choose the flowers' colors: the prompt's, the flower's own, or the palette's."""
    asked = subject.color_of(kind, "flower")
    chosen = (asked,) if asked else subject.tints
    if chosen:
        return tuple(lit(tint, shift) for tint in chosen for shift in (0.0, 0.2))
    own = {
        "sunflower": ("#f7b91c", "#ffd23f"),
        "lavender": ("#8f7ad8", "#a894e8"),
        "poppy": ("#e2412e", "#f0603c"),
        "daisy": ("#fffdf6", "#fdf0f4"),
        "rose": ("#d93658", "#f07a94"),
        "tulip": ("#e0344e", "#f7b02c", "#f58fb0", "#fdf3e4", "#a24cc0", "#f2703c"),
    }
    tones = tuple(color(code) for code in own[kind]) if kind in own else palette.accents
    if palette.dark:
        return tuple(mix(tone, palette.sky[1], 0.4) for tone in tones)
    return tuple(mix(tone, palette.light, 0.1) for tone in tones)


def _draw_distance(canvas: Canvas, palette: Palette, horizon: float) -> None:
    """Close the view with blue hills and a line of trees."""
    rng, unit = canvas.rng, canvas.unit
    for layer in range(2):
        tone = mix(palette.far, palette.leaf, 0.25 * layer + 0.05)
        tops = trace_ridge(
            canvas, horizon + unit * 0.01, unit * (0.15 - 0.06 * layer), unit * 0.4, 3, False
        )
        canvas.ground(tops, [tone, mix(tone, palette.sky[2], 0.5)], horizon + unit * 0.02)
    for _ in range(round(30 * canvas.width / unit)):
        x, size = rng.uniform(0, canvas.width), unit * rng.uniform(0.03, 0.075)
        tone = mix(mix(palette.leaf, palette.near, 0.4), palette.far, 0.3)
        draw_round_tree(Pen(canvas, x, horizon + unit * 0.012, size), tone, rng)


def _draw_rows(
    canvas: Canvas, palette: Palette, horizon: float, tints: tuple[Color, ...], kind: str
) -> None:
    """Let beds of one color each run together in the distance."""
    rng, unit = canvas.rng, canvas.unit
    depth = canvas.height - horizon
    soil = mix(palette.leaf, palette.near, 0.45)
    canvas.gradient([mix(soil, palette.far, 0.3), soil, lit(soil, -0.2)], horizon, canvas.height)
    vanish = canvas.width * rng.uniform(0.4, 0.6)
    beds = math.ceil(canvas.width / unit * 9) | 1
    order = [tints[n % len(tints)] for n in range(beds)]
    rng.shuffle(order)
    lane = unit * 0.3
    for bed in range(beds):
        left = vanish + (bed - beds / 2) * lane
        far = vanish + (bed - beds / 2) * unit * 0.018 * (canvas.width / unit) ** 0.5
        tone = order[bed]
        corners = [
            (far, horizon),
            (far + unit * 0.013, horizon),
            (left + lane * 0.72, canvas.height),
            (left, canvas.height),
        ]
        canvas.draw.polygon(corners, fill=mix(tone, soil, 0.35))
    steps = 30
    for step in range(steps):
        near = ((step + 1) / steps) ** 1.9
        y = horizon + depth * near
        size = unit * (0.003 + 0.03 * near)
        for bed in range(beds):
            left = vanish + (bed - beds / 2) * lane
            far = vanish + (bed - beds / 2) * unit * 0.018 * (canvas.width / unit) ** 0.5
            a = far + (left - far) * near
            span = (unit * 0.013) * (1 - near) + lane * 0.72 * near
            if a > canvas.width or a + span < 0:
                continue
            count = max(1, min(7, round(span / (size * 1.25))))
            for n in range(count):
                x = a + span * (n + rng.uniform(0.2, 0.8)) / count
                tone = lit(order[bed], rng.uniform(-0.16, 0.2))
                top = y + rng.uniform(-0.4, 0.4) * size
                if near > 0.16:
                    draw_flower(
                        Pen(canvas, x, top, size * 2.3), palette, tone, kind or "poppy", False
                    )
                else:
                    canvas.draw.ellipse(
                        (x - size, top - size, x + size, top + size * 0.5), fill=tone
                    )


def _draw_meadow(
    canvas: Canvas, palette: Palette, horizon: float, tints: tuple[Color, ...], kind: str
) -> None:
    """Scatter grass and flowers, denser and larger towards the viewer."""
    rng, unit = canvas.rng, canvas.unit
    depth = canvas.height - horizon
    grass = palette.leaf
    canvas.gradient([mix(grass, palette.light, 0.25)], horizon, canvas.height)
    for layer in range(3):
        near = layer / 2
        tone = mix(mix(grass, palette.light, 0.22 * (1 - near)), palette.near, 0.3 * near)
        base = horizon + depth * (0.05 + 0.33 * layer)
        tops = trace_ridge(canvas, base + unit * 0.06, unit * 0.15, unit * 0.5, 2, False)
        canvas.ground(tops, [lit(tone, 0.1), tone, lit(tone, -0.12)], canvas.height)
    plants = sorted(rng.random() ** 0.75 for _ in range(round(430 * canvas.width / unit)))
    for near in plants:
        x, y = rng.uniform(0, canvas.width), horizon + depth * (0.09 + 0.93 * near)
        size = unit * (0.006 + 0.04 * near**1.5)
        if rng.random() < 0.45:
            draw_grass(canvas, x, y, size * 1.5, mix(grass, palette.near, 0.15 + 0.3 * near))
        elif near < 0.3:
            canvas.dot(x, y, size * 0.5, rng.choice(tints))
        else:
            draw_flower(Pen(canvas, x, y, size * 1.5), palette, rng.choice(tints), kind, False)


def _draw_front(
    canvas: Canvas, palette: Palette, tints: tuple[Color, ...], kind: str, guest: bool
) -> None:
    """Put a few large flowers right in front; where an animal will sit they stay at the sides."""
    rng, unit = canvas.rng, canvas.unit
    spots = sorted(rng.random() for _ in range(round(12 * canvas.width / unit)))
    for spot in spots:
        x = canvas.width * spot
        middle = abs(spot - 0.5) * 2
        if guest and middle < 0.62:
            continue
        size = unit * rng.uniform(0.17, 0.25) * (0.75 + 0.45 * middle)
        for blade in range(2):
            draw_grass(
                canvas,
                x + (blade - 0.5) * size * 0.3,
                canvas.height,
                size * 0.8,
                lit(palette.leaf, -0.25),
            )
        tone = lit(rng.choice(tints), rng.uniform(-0.06, 0.06))
        draw_flower(
            Pen(canvas, x, canvas.height + size * 0.18, size, rng.random() < 0.5),
            palette,
            tone,
            kind,
            True,
        )
