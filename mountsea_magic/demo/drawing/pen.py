"""A pen for figures: animals and things drawn in their own units, placed anywhere at any size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .canvas import Canvas, Point
from .palettes import Color, Ink

_STEPS = 8
"""Straight pieces per curve: enough that no corner shows on a figure filling the image."""


@dataclass(frozen=True)
class Pen:
    """Where and how large a figure is drawn.

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
        """Convert a place on the figure to a place on the image.

        Args:
            x: In the figure's units.
            y: In the figure's units, downwards.

        Returns:
            The place in pixels.

        Example:
            >>> Pen(canvas, 100, 200, 50).at(1, -1)
            (150, 150)
        """
        return self.x + (-x if self.flip else x) * self.size, self.y + y * self.size

    def moved(self, x: float, y: float, scale: float = 1.0) -> "Pen":
        """Make a pen whose origin is elsewhere on the figure.

        Args:
            x: In this pen's units.
            y: In this pen's units.
            scale: How much larger the new pen's unit is.

        Returns:
            The new pen, facing the same way.

        Example:
            >>> head = pen.moved(0, -1.4, 0.5)
        """
        left, top = self.at(x, y)
        return Pen(self.canvas, left, top, self.size * scale, self.flip)

    def polygon(self, points: Sequence[Point], *colors: Color | Ink) -> None:
        """Fill straight-edged corners.

        Args:
            points: Corners in the figure's units.
            colors: One colour, or several for a gradient from top to bottom.

        Example:
            >>> pen.polygon([(0, -1), (0.5, 0), (-0.5, 0)], red)
        """
        corners = [self.at(x, y) for x, y in points]
        if len(colors) == 1:
            self.canvas.draw.polygon(corners, fill=colors[0])
        else:
            self.canvas.shape(corners, [(r, g, b) for r, g, b, *_ in colors])

    def blob(self, points: Sequence[Point], *colors: Color | Ink) -> None:
        """Fill the smooth closed curve through some points.

        Args:
            points: Points of the outline in the figure's units, in order.
            colors: One colour, or several for a gradient from top to bottom.

        Example:
            >>> pen.blob([(-1, 0), (0, -1), (1, 0)], fur, belly)
        """
        count = len(points)
        outline = []
        for index in range(count):
            around = [points[(index + shift) % count] for shift in (-1, 0, 1, 2)]
            outline += [_between(around, step / _STEPS) for step in range(_STEPS)]
        self.polygon(outline, *colors)

    def oval(
        self, x: float, y: float, wide: float, high: float, *colors: Color | Ink, turn: float = 0.0
    ) -> None:
        """Fill an ellipse.

        Args:
            x: Centre, in the figure's units.
            y: Centre, in the figure's units.
            wide: Half its width.
            high: Half its height.
            colors: One colour, or several for a gradient from top to bottom.
            turn: How far it is turned, in degrees, clockwise.

        Example:
            >>> pen.oval(0, -0.5, 0.4, 0.3, fur, turn=20)
        """
        c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        count = max(10, min(72, round(3.2 * math.sqrt(max(wide, high) * self.size))))
        ring = [
            (math.cos(n * math.tau / count), math.sin(n * math.tau / count)) for n in range(count)
        ]
        self.polygon(
            [(x + wide * a * c - high * b * s, y + wide * a * s + high * b * c) for a, b in ring],
            *colors,
        )

    def stroke(self, points: Sequence[Point], width: float, fill: Color | Ink) -> None:
        """Draw a smooth open line with round ends.

        Args:
            points: Points on the line, in the figure's units.
            width: Thickness, in the figure's units.
            fill: Its colour; a see-through one shows its joints, so keep it solid.

        Example:
            >>> pen.stroke([(0, 0), (0.2, 0.1), (0.4, 0)], 0.03, ink)
        """
        path = []
        last = len(points) - 1
        for index in range(last):
            around = [points[max(0, min(last, index + shift))] for shift in (-1, 0, 1, 2)]
            path += [self.at(*_between(around, step / _STEPS)) for step in range(_STEPS)]
        path.append(self.at(*points[-1]))
        thick = max(1.0, width * self.size)
        self.canvas.draw.line(path, fill=fill, width=round(thick), joint="curve")
        if thick >= 3:
            for x, y in (path[0], path[-1]):
                self.canvas.dot(x, y, thick / 2 - 0.5, fill)

    def glow(self, x: float, y: float, radius: float, color: Color, strength: float) -> None:
        """Add light that fades out from a place on the figure.

        Args:
            x: Centre, in the figure's units.
            y: Centre, in the figure's units.
            radius: In the figure's units.
            color: Its colour.
            strength: Opacity at the centre, 0 to 1.

        Example:
            >>> pen.glow(0, -2, 1, lamp, 0.7)
        """
        left, top = self.at(x, y)
        self.canvas.glow(left, top, radius * self.size, color, strength)


def _between(around: Sequence[Point], part: float) -> Point:
    """Find a point of the Catmull-Rom curve, which passes through every given point."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = around
    square, cube = part * part, part * part * part
    a, d = -cube / 2 + square - part / 2, cube / 2 - square / 2
    b, c = 1.5 * cube - 2.5 * square + 1, -1.5 * cube + 2 * square + part / 2
    return a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy
