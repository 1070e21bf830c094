"""Animals with wings, as figures: gulls, butterflies, owls, penguins, ducks."""

from .palettes import Color, color, lit, mix, veil
from .pen import Pen


def draw_duck(pen: Pen, body: Color) -> None:
    """Draw a duck looking right, about 1.5 units long and high."""
    pen.blob(
        [
            (-0.9, -0.62),
            (-0.5, -0.55),
            (0.1, -0.62),
            (0.6, -0.5),
            (0.62, -0.15),
            (0.2, 0.02),
            (-0.4, 0.0),
            (-0.75, -0.25),
        ],
        lit(body, 0.12),
        body,
        mix(body, color("#d9822b"), 0.35),
    )
    pen.blob([(0.72, -0.95), (1.02, -0.9), (1.0, -0.8), (0.7, -0.82)], color("#f08a2c"))
    pen.oval(0.45, -0.9, 0.32, 0.32, lit(body, 0.1), body)
    pen.blob(
        [(-0.5, -0.42), (0.15, -0.46), (0.2, -0.25), (-0.15, -0.12), (-0.45, -0.22)],
        mix(body, color("#d9822b"), 0.3),
    )
    pen.oval(0.56, -0.97, 0.05, 0.06, (26, 24, 34))
    pen.oval(0.545, -0.99, 0.018, 0.018, (255, 255, 255))


def draw_gull(pen: Pen, body: Color, wing: Color, lift: float) -> None:
    """Draw a bird in flight, about 3 units across, its wings held high (lift 1) to low (-1)."""
    up = -0.8 * lift
    far = [
        (0.16, -0.06),
        (0.42, up * 0.75 - 0.12),
        (0.8, up * 1.12 - 0.12),
        (1.5, up * 1.0 - 0.1),
        (1.85, up * 0.72),
        (1.35, up * 0.86 + 0.02),
        (0.85, up * 0.82 + 0.08),
        (0.42, up * 0.3 + 0.12),
    ]
    pen.blob(far, lit(wing, -0.18))
    pen.blob(
        [
            (-0.95, 0.06),
            (-0.55, -0.04),
            (0.0, -0.15),
            (0.48, -0.16),
            (0.72, -0.1),
            (0.74, -0.02),
            (0.45, 0.1),
            (-0.05, 0.13),
            (-0.5, 0.1),
        ],
        lit(body, 0.08),
        body,
        lit(body, 0.3),
    )
    pen.polygon(
        [(-0.6, -0.02), (-1.16, -0.02), (-1.06, 0.06), (-1.14, 0.15), (-0.6, 0.1)], lit(wing, -0.1)
    )
    pen.polygon([(0.7, -0.11), (0.92, -0.03), (0.7, 0.0)], color("#f0a03c"))
    pen.oval(0.57, -0.085, 0.028, 0.03, (250, 250, 250))
    pen.oval(0.575, -0.085, 0.017, 0.019, (20, 20, 28))
    near = [
        (0.24, -0.05),
        (0.06, up * 0.8 - 0.14),
        (-0.34, up * 1.3 - 0.14),
        (-1.05, up * 1.32 - 0.1),
        (-1.62, up * 1.0 + 0.02),
        (-1.1, up * 1.08 + 0.06),
        (-0.6, up * 0.9 + 0.1),
        (-0.3, up * 0.4 + 0.12),
        (-0.14, 0.08),
    ]
    pen.blob(near, lit(wing, -0.1), lit(wing, 0.14))
    tip = [(-0.95, up * 1.31 - 0.09), (-1.62, up * 1.0 + 0.02), (-1.1, up * 1.08 + 0.06)]
    pen.blob(tip, lit(wing, -0.4))


def draw_butterfly(pen: Pen, wing: Color) -> None:
    """Draw a butterfly with open wings."""
    for way in (-1, 1):
        upper = [(0.05, 0), (0.4, -0.7), (0.95, -0.75), (0.9, -0.2), (0.3, 0.05)]
        lower = [(0.05, 0.02), (0.6, 0.05), (0.72, 0.45), (0.35, 0.62), (0.1, 0.3)]
        pen.blob([(way * x, y) for x, y in lower], lit(wing, -0.2))
        pen.blob([(way * x, y) for x, y in upper], lit(wing, 0.15), wing)
        pen.oval(way * 0.62, -0.42, 0.13, 0.13, veil((255, 255, 255), 0.55))
        pen.stroke([(0, -0.3), (way * 0.1, -0.5), (way * 0.2, -0.62)], 0.025, (34, 28, 34))
    pen.oval(0, 0.02, 0.06, 0.36, (34, 28, 34))


def draw_owl(pen: Pen, body: Color) -> None:
    """Draw an owl on its feet: mostly eyes."""
    pale = lit(body, 0.6)
    pen.oval(0, 0.0, 0.55, 0.06, veil((10, 12, 24), 0.3))
    for way in (-1, 1):
        pen.polygon([(way * 0.5, -1.4), (way * 0.5, -1.85), (way * 0.15, -1.6)], lit(body, -0.2))
        pen.oval(way * 0.17, -0.03, 0.13, 0.06, color("#e8a03c"))
    pen.blob(
        [
            (0, -1.72),
            (0.5, -1.5),
            (0.56, -0.8),
            (0.4, -0.15),
            (0, -0.03),
            (-0.4, -0.15),
            (-0.56, -0.8),
            (-0.5, -1.5),
        ],
        lit(body, 0.08),
        body,
        lit(body, -0.2),
    )
    pen.oval(0, -0.6, 0.34, 0.48, pale, mix(pale, body, 0.4))
    for row in range(3):
        for col in range(3 - row % 2):
            x = (col - (2 - row % 2) / 2) * 0.2
            pen.oval(x, -0.85 + row * 0.2, 0.05, 0.04, veil(lit(body, -0.2), 0.7))
    for way in (-1, 1):
        wing = [(0.46, -1.1), (0.62, -0.8), (0.56, -0.35), (0.42, -0.2), (0.38, -0.6)]
        pen.blob([(way * x, y) for x, y in wing], lit(body, -0.25))
        pen.oval(way * 0.24, -1.32, 0.26, 0.26, pale)
        pen.oval(way * 0.23, -1.32, 0.17, 0.17, color("#f2b632"))
        pen.oval(way * 0.22, -1.32, 0.105, 0.11, (26, 20, 26))
        pen.oval(way * 0.22 - 0.035, -1.37, 0.038, 0.038, (255, 255, 255))
    pen.polygon([(-0.07, -1.22), (0.07, -1.22), (0, -1.05)], color("#e8a03c"))


def draw_penguin(pen: Pen, body: Color) -> None:
    """Draw a penguin upright."""
    pen.oval(0, 0.0, 0.5, 0.06, veil((10, 12, 24), 0.3))
    for way in (-1, 1):
        pen.oval(way * 0.2, -0.03, 0.18, 0.06, color("#f2a03c"))
        flipper = [(0.38, -1.1), (0.66, -0.7), (0.68, -0.42), (0.5, -0.5), (0.4, -0.7)]
        pen.blob([(way * x, y) for x, y in flipper], lit(body, -0.15))
    pen.blob(
        [
            (0, -1.85),
            (0.34, -1.66),
            (0.42, -1.2),
            (0.52, -0.6),
            (0.36, -0.1),
            (0, -0.02),
            (-0.36, -0.1),
            (-0.52, -0.6),
            (-0.42, -1.2),
            (-0.34, -1.66),
        ],
        lit(body, 0.1),
        body,
    )
    pen.blob(
        [
            (0, -1.2),
            (0.3, -1.0),
            (0.38, -0.55),
            (0.22, -0.12),
            (0, -0.07),
            (-0.22, -0.12),
            (-0.38, -0.55),
            (-0.3, -1.0),
        ],
        (250, 248, 244),
        (226, 230, 236),
    )
    for way in (-1, 1):
        pen.oval(way * 0.14, -1.42, 0.17, 0.2, (250, 248, 244))
        pen.oval(way * 0.13, -1.45, 0.055, 0.068, (24, 22, 32))
        pen.oval(way * 0.13 - 0.018, -1.47, 0.02, 0.02, (255, 255, 255))
    pen.polygon([(-0.08, -1.36), (0.08, -1.36), (0, -1.22)], color("#f2a03c"))
