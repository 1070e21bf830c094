"""Skies: gradient, sun or moon with its halo, stars, and clouds."""

import math

from .canvas import Box, Canvas, Point
from .palettes import Palette, lit, mix, veil
from .subject import Subject

_CLEAR = ("sun", "sunset", "sunrise", "star", "clear", "moon", "neon")


def draw_sky(canvas: Canvas, subject: Subject, palette: Palette, horizon: float) -> Point:
    """Draw the sky down to the horizon; return the centre of its sun or moon."""
    rng, unit = canvas.rng, canvas.unit
    canvas.gradient(palette.sky, 0, horizon)
    if horizon < canvas.height:
        canvas.gradient([palette.sky[2]], horizon, canvas.height)
    low_sun = subject.mood in ("sunset", "dawn", "golden") or subject.has("sun")
    side = rng.choice((0.24, 0.3, 0.68, 0.75))
    x = canvas.width * (side + rng.uniform(-0.04, 0.04))
    reach = min(horizon, unit * 0.9)
    y = horizon - reach * (rng.uniform(0.14, 0.26) if low_sun else rng.uniform(0.55, 0.74))
    if palette.dark:
        draw_stars(canvas, horizon, 1.0)
    _draw_halo(canvas, palette, x, y, low_sun)
    veiled = subject.mood in ("storm", "mist") and not subject.has("sun", "moon")
    if palette.dark:
        _draw_moon(canvas, palette, x, y)
    elif not veiled:
        radius = unit * (0.085 if low_sun else 0.05)
        canvas.dot(x, y, radius * 1.12, veil(palette.light, 0.35))
        canvas.dot(x, y, radius, lit(palette.light, 0.35))
    if not subject.has(*_CLEAR) or rng.random() < 0.5:
        _draw_cumulus(canvas, palette, horizon)
    _draw_streaks(canvas, palette, horizon)
    return x, y


def draw_stars(canvas: Canvas, bottom: float, density: float) -> None:
    """Scatter stars, fewer towards the bottom; a density of 1 is a clear night."""
    rng, unit = canvas.rng, canvas.unit
    area = canvas.width * bottom / unit**2
    for _ in range(round(330 * density * area)):
        x, y = rng.uniform(0, canvas.width), bottom * rng.random() ** 1.35
        bright = rng.random() ** 3
        tone = rng.choice(((255, 255, 255), (210, 225, 255), (255, 236, 210)))
        fade = (1 - 0.75 * y / bottom) * (0.35 + 0.65 * bright)
        canvas.dot(x, y, unit * (0.0009 + 0.0022 * bright), veil(tone, fade))
        if bright > 0.82:
            canvas.glow(x, y, unit * 0.018, tone, 0.5 * fade)


def _draw_halo(canvas: Canvas, palette: Palette, x: float, y: float, low_sun: bool) -> None:
    """Let the light spread through the air: it ties the sun to the colors around it."""
    strength = 0.3 if palette.dark else 0.55
    canvas.glow(x, y, canvas.unit * (0.95 if low_sun else 0.7), palette.light, strength)
    canvas.glow(x, y, canvas.unit * 0.26, lit(palette.light, 0.4), strength)


def _draw_moon(canvas: Canvas, palette: Palette, x: float, y: float) -> None:
    """Draw a full moon with its seas: a bare disc would read as the sun."""
    rng, radius = canvas.rng, canvas.unit * 0.068
    canvas.dot(x, y, radius, palette.light)
    shade = mix(palette.light, palette.sky[1], 0.22)
    for angle, away, size in (
        (0.5, 0.42, 0.3),
        (2.4, 0.5, 0.2),
        (4.1, 0.38, 0.26),
        (5.5, 0.6, 0.14),
    ):
        turn = angle + rng.uniform(-0.3, 0.3)
        canvas.dot(
            x + math.cos(turn) * away * radius,
            y + math.sin(turn) * away * radius,
            size * radius,
            shade,
        )


def _draw_cumulus(canvas: Canvas, palette: Palette, horizon: float) -> None:
    """Draw a few heaped clouds, lit above and flat below."""
    rng, unit = canvas.rng, canvas.unit
    white = mix(palette.sky[1], (255, 255, 255), 0.1 if palette.dark else 0.72)
    white = mix(white, palette.light, 0.25)
    shade = mix(palette.sky[1], palette.sky[2], 0.3)
    count = max(
        2, round(canvas.width / unit * rng.uniform(1.6, 2.6) * min(1.6, horizon / unit / 0.5))
    )
    tops: list[Box] = []
    bases: list[Box] = []
    for index in range(count):
        middle = canvas.width * (index + rng.uniform(0.1, 0.9)) / count
        base = horizon * rng.uniform(0.12, 0.8)
        size = unit * rng.uniform(0.07, 0.17) * (1.15 - 0.75 * base / horizon)
        for tuft in range(9):
            off = (tuft - 4) / 4 + rng.uniform(-0.12, 0.12)
            radius = size * rng.uniform(0.26, 0.5) * (1.15 - 0.75 * abs(off))
            x, y = middle + off * size * 1.3, base - radius * rng.uniform(0.5, 0.95)
            tops.append((x - radius, y - radius, x + radius, y + radius))
        bases.append(
            (middle - size * 1.35, base - size * 0.16, middle + size * 1.35, base + size * 0.1)
        )
        tops.append(
            (middle - size * 1.5, base - size * 0.2, middle + size * 1.5, base + size * 0.03)
        )
    canvas.soft(white, tops, unit * 0.006, 0.5 if palette.dark else 0.85)
    canvas.soft(shade, bases, unit * 0.02, 0.3)


def _draw_streaks(canvas: Canvas, palette: Palette, horizon: float) -> None:
    """Draw long thin clouds low in the sky, where they catch the light."""
    rng, unit = canvas.rng, canvas.unit
    boxes: list[Box] = []
    for _ in range(round(5 + 5 * canvas.width / unit)):
        x, y = (
            rng.uniform(-0.1, 1.1) * canvas.width,
            horizon * (1 - rng.random() ** 1.4 * 0.6) * 0.97,
        )
        wide, high = unit * rng.uniform(0.12, 0.42), unit * rng.uniform(0.002, 0.007)
        boxes.append((x - wide, y - high, x + wide, y + high))
        boxes.append((x - wide * 0.4, y - high * 2.2, x + wide * 0.5, y + high))
    tone = mix(palette.light, palette.sky[1], 0.35 if palette.dark else 0.1)
    canvas.soft(tone, boxes, unit * 0.006, 0.35 if palette.dark else 0.6)
