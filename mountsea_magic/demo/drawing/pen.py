"""A pen for figures: animals and things drawn in their own units, placed anywhere at any size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from .canvas import Canvas, Point
from .palettes import Color, Ink

_STEPS = 8
"""Straight pieces per curve: enough that no corner shows on a figure filling the image."""


@dataclass(frozen=True)
class Pen:
    """Where and how large a figure is drawn; lengths are in units of the figure.

    Attributes:
        canvas: The image.
        x: Where the figure's origin lies, in pixels.
        y: Where the figure's origin lies, in pixels; figures stand on it, heights are negative.
        size: Pixels per unit of the figure.
        flip: Whether the figure looks the other way.
    """

    canvas: Canvas
    x: float
    y: float
    size: float
    flip: bool = False

    def at(self, x: float, y: float) -> Point:
        """Convert a place on the figure to pixels on the image."""
        return self.x + (-x if self.flip else x) * self.size, self.y + y * self.size

    def moved(self, x: float, y: float, scale: float = 1.0) -> "Pen":
        """Make a pen whose origin is elsewhere on the figure, its unit `scale` times as large."""
        left, top = self.at(x, y)
        return Pen(self.canvas, left, top, self.size * scale, self.flip)

    def polygon(self, points: Sequence[Point], *colors: Color | Ink) -> None:
        """Fill a polygon; several colors are a gradient from top to bottom, here and below."""
        left, top, size, across = self.x, self.y, self.size, -self.size if self.flip else self.size
        corners = [(left + x * across, top + y * size) for x, y in points]
        if len(colors) == 1:
            self.canvas.draw.polygon(corners, fill=colors[0])
        else:
            self.canvas.shape(corners, [(r, g, b) for r, g, b, *_ in colors])

    def blob(self, points: Sequence[Point], *colors: Color | Ink) -> None:
        """Fill the smooth closed curve through some points."""
        count = len(points)
        outline = []
        for index in range(count):
            outline += _curve([points[(index + shift) % count] for shift in (-1, 0, 1, 2)])
        self.polygon(outline, *colors)

    def oval(
        self, x: float, y: float, wide: float, high: float, *colors: Color | Ink, turn: float = 0.0
    ) -> None:
        """Fill an ellipse by its centre and half its width and height, turned by some degrees."""
        c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        count = max(10, min(72, round(3.2 * math.sqrt(max(wide, high) * self.size))))
        self.polygon(
            [
                (x + wide * a * c - high * b * s, y + wide * a * s + high * b * c)
                for a, b in _ring(count)
            ],
            *colors,
        )

    def stroke(self, points: Sequence[Point], width: float, fill: Color | Ink) -> None:
        """Draw a smooth line with round ends; a see-through color would show its joints."""
        path = []
        last = len(points) - 1
        for index in range(last):
            around = [points[max(0, min(last, index + shift))] for shift in (-1, 0, 1, 2)]
            path += [self.at(x, y) for x, y in _curve(around)]
        path.append(self.at(*points[-1]))
        thick = max(1.0, width * self.size)
        self.canvas.draw.line(path, fill=fill, width=round(thick), joint="curve")
        if thick >= 3:
            for x, y in (path[0], path[-1]):
                self.canvas.dot(x, y, thick / 2 - 0.5, fill)

    def glow(self, x: float, y: float, radius: float, color: Color, strength: float) -> None:
        """Add light that fades out from a place on the figure."""
        left, top = self.at(x, y)
        self.canvas.glow(left, top, radius * self.size, color, strength)


@cache
def _ring(count: int) -> tuple[Point, ...]:
    """Spread some points evenly on the unit circle."""
    turns = [n * math.tau / count for n in range(count)]
    return tuple((math.cos(turn), math.sin(turn)) for turn in turns)


def _weights(part: float) -> tuple[float, float, float, float]:
    """Return how much each of four points counts for a point between the second and the third."""
    square, cube = part * part, part * part * part
    a, d = -cube / 2 + square - part / 2, cube / 2 - square / 2
    b, c = 1.5 * cube - 2.5 * square + 1, -1.5 * cube + 2 * square + part / 2
    return a, b, c, d


_WEIGHTS = tuple(_weights(step / _STEPS) for step in range(_STEPS))


def _curve(around: Sequence[Point]) -> list[Point]:
    """Follow the Catmull-Rom curve, which passes through every given point, from the second one."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = around
    return [
        (a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy)
        for a, b, c, d in _WEIGHTS
    ]
