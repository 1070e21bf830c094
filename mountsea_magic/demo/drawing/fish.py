"""Animals that live in water, as figures: fish and whales."""

from .palettes import Color, lit, mix, veil
from .pen import Pen


def draw_fish(pen: Pen, body: Color) -> None:
    """Draw a fish swimming to the right, about 2 units long.

    Args:
        pen: Where its middle lies, and its unit in pixels.
        body: Its colour.

    Example:
        >>> draw_fish(Pen(canvas, 500, 800, 60), orange)
    """
    fin = lit(body, -0.18)
    pen.blob(
        [(-0.6, 0), (-1.1, -0.42), (-1.2, -0.3), (-1.0, 0.02), (-1.2, 0.34), (-1.1, 0.44)], fin
    )
    pen.blob([(-0.35, -0.35), (-0.1, -0.68), (0.25, -0.55), (0.4, -0.3)], fin)
    pen.blob([(-0.2, 0.32), (-0.25, 0.6), (0.05, 0.52), (0.2, 0.32)], fin)
    pen.blob(
        [
            (-0.75, 0),
            (-0.3, -0.38),
            (0.3, -0.44),
            (0.8, -0.16),
            (0.88, 0.02),
            (0.75, 0.18),
            (0.3, 0.4),
            (-0.3, 0.36),
        ],
        lit(body, -0.08),
        lit(body, 0.12),
        lit(body, 0.45),
    )
    for x, high in ((0.22, 0.4), (-0.28, 0.33)):
        pen.blob(
            [
                (x - 0.07, -high),
                (x + 0.1, -high),
                (x + 0.14, 0),
                (x + 0.08, high),
                (x - 0.08, high),
                (x, 0),
            ],
            veil((255, 255, 255), 0.8),
        )
    pen.blob([(0.02, 0.04), (-0.22, 0.2), (-0.3, 0.12), (-0.12, -0.02)], fin)
    pen.oval(0.56, -0.09, 0.1, 0.1, (255, 255, 255))
    pen.oval(0.58, -0.09, 0.06, 0.065, (26, 24, 34))
    pen.oval(0.56, -0.12, 0.02, 0.02, (255, 255, 255))
    pen.stroke([(0.84, 0.08), (0.76, 0.12), (0.7, 0.1)], 0.025, lit(body, -0.5))


def draw_whale(pen: Pen, body: Color) -> None:
    """Draw a whale swimming to the right, about 3 units long.

    Args:
        pen: Where its middle lies, and its unit in pixels.
        body: Its colour.

    Example:
        >>> draw_whale(Pen(canvas, 500, 800, 150), slate)
    """
    pale = lit(body, 0.65)
    pen.blob(
        [(-1.3, -0.12), (-1.62, -0.5), (-2.0, -0.62), (-1.82, -0.3), (-2.05, -0.12), (-1.6, -0.08)],
        body,
    )
    pen.blob(
        [
            (-1.6, -0.18),
            (-0.9, -0.36),
            (0, -0.62),
            (0.8, -0.6),
            (1.36, -0.24),
            (1.4, 0.12),
            (1.1, 0.36),
            (0.4, 0.44),
            (-0.5, 0.26),
            (-1.2, 0.0),
        ],
        lit(body, 0.16),
        body,
        lit(body, -0.1),
    )
    pen.blob(
        [
            (1.4, 0.08),
            (1.1, 0.36),
            (0.4, 0.44),
            (-0.5, 0.26),
            (-0.9, 0.1),
            (-0.2, 0.16),
            (0.7, 0.12),
        ],
        pale,
    )
    for lift in (0.2, 0.27, 0.34):
        pen.stroke(
            [(1.2 - lift * 0.3, lift - 0.02), (0.6, lift), (0.1, lift - 0.02)],
            0.014,
            mix(pale, body, 0.45),
        )
    pen.blob([(0.5, 0.22), (0.2, 0.62), (-0.1, 0.78), (0.02, 0.5), (0.2, 0.2)], lit(body, -0.15))
    pen.oval(0.92, -0.02, 0.055, 0.06, (18, 22, 34))
    pen.oval(0.905, -0.04, 0.018, 0.018, (255, 255, 255))
    pen.stroke([(1.36, 0.1), (1.15, 0.13), (0.95, 0.1)], 0.02, lit(body, -0.4))
