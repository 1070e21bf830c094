"""Upright figures: an astronaut and a robot."""

from .palettes import Color, Palette, color, lit, mix, veil
from .pen import Pen

_SUIT = (240, 241, 246)


def draw_astronaut(pen: Pen, palette: Palette, afloat: bool) -> None:
    """Draw an astronaut, about 2 units high."""
    suit, dim, trim = _SUIT, (176, 182, 204), palette.accents[0]
    if not afloat:
        pen.oval(0, 0, 0.62, 0.07, veil((8, 8, 20), 0.35))
    pen.blob(
        [(-0.46, -1.3), (0.46, -1.3), (0.5, -0.6), (-0.5, -0.6)], (128, 134, 160), (96, 100, 128)
    )
    spread = 0.34 if afloat else 0.2
    for way in (-1, 1):
        leg = [(0.04, -0.6), (0.32, -0.6), (spread + 0.16, -0.12), (spread - 0.12, -0.12)]
        pen.blob([(way * x, y) for x, y in leg], suit, dim)
        pen.oval(way * spread, -0.08, 0.19, 0.1, (92, 98, 124))
        lift = -1.45 if afloat or way == 1 else -0.72
        pen.stroke(
            [(way * 0.3, -1.1), (way * 0.56, -1.02 if lift < -1 else -0.95), (way * 0.66, lift)],
            0.23,
            dim,
        )
        pen.oval(way * 0.66, lift, 0.13, 0.13, trim)
    pen.blob(
        [(-0.36, -1.22), (0.36, -1.22), (0.42, -0.8), (0.33, -0.48), (-0.33, -0.48), (-0.42, -0.8)],
        suit,
        dim,
    )
    pen.polygon([(-0.18, -0.98), (0.18, -0.98), (0.18, -0.74), (-0.18, -0.74)], (150, 156, 182))
    for x, tone in ((-0.1, trim), (0.0, palette.accents[1]), (0.1, color("#5fd0a8"))):
        pen.oval(x, -0.86, 0.035, 0.035, tone)
    pen.oval(0, -1.56, 0.44, 0.42, suit, dim)
    pen.oval(0.02, -1.54, 0.33, 0.29, color("#3a4a86"), color("#141a3c"))
    pen.oval(-0.12, -1.64, 0.13, 0.07, veil((255, 255, 255), 0.75), turn=-24)
    pen.oval(0.14, -1.44, 0.14, 0.06, veil(palette.accents[1], 0.5), turn=-20)
    for way in (-1, 1):
        pen.oval(way * 0.44, -1.55, 0.06, 0.12, trim)


def draw_robot(pen: Pen, palette: Palette, shell: Color) -> None:
    """Draw a friendly robot that points up to the right with a stick, about 2.3 units high."""
    dim, steel = lit(shell, -0.25), (120, 130, 150)
    glow = lit(palette.accents[1], 0.3)
    pen.oval(0, 0.01, 0.62, 0.07, veil((10, 12, 24), 0.3))
    for way in (-1, 1):
        pen.stroke([(way * 0.2, -0.5), (way * 0.2, -0.12)], 0.13, steel)
        for joint in (-0.4, -0.3, -0.2):
            pen.stroke(
                [(way * 0.2 - 0.06, joint), (way * 0.2 + 0.06, joint)], 0.025, lit(steel, -0.3)
            )
        pen.blob([(way * 0.06, 0), (way * 0.1, -0.16), (way * 0.26, -0.18), (way * 0.4, 0)], dim)
    pen.stroke([(-0.42, -1.08), (-0.66, -0.86), (-0.6, -0.56)], 0.12, steel)
    pen.oval(-0.6, -0.5, 0.12, 0.12, dim)
    pen.stroke([(0.78, -1.34), (1.42, -2.02)], 0.035, color("#8a5a34"))
    pen.stroke([(0.42, -1.08), (0.66, -1.06), (0.78, -1.34)], 0.12, steel)
    pen.oval(0.78, -1.36, 0.12, 0.12, dim)
    body = [
        (-0.4, -1.2),
        (0, -1.24),
        (0.4, -1.2),
        (0.46, -0.8),
        (0.38, -0.44),
        (0, -0.38),
        (-0.38, -0.44),
        (-0.46, -0.8),
    ]
    pen.blob(body, lit(shell, 0.16), shell, dim)
    pen.blob([(-0.25, -1.05), (0.25, -1.05), (0.25, -0.7), (-0.25, -0.7)], lit(shell, 0.5))
    pen.oval(-0.12, -0.92, 0.05, 0.05, palette.accents[0])
    pen.oval(0.02, -0.92, 0.05, 0.05, glow)
    pen.stroke([(-0.15, -0.78), (0.15, -0.78)], 0.04, steel)
    pen.stroke([(0, -1.2), (0, -1.34)], 0.16, steel)
    pen.stroke([(0, -2.1), (0, -2.3)], 0.035, steel)
    pen.glow(0, -2.36, 0.3, palette.accents[0], 0.7)
    pen.oval(0, -2.36, 0.075, 0.075, palette.accents[0])
    for way in (-1, 1):
        pen.oval(way * 0.58, -1.7, 0.09, 0.17, dim)
    head = [
        (-0.5, -1.98),
        (0, -2.12),
        (0.5, -1.98),
        (0.56, -1.68),
        (0.46, -1.38),
        (0, -1.31),
        (-0.46, -1.38),
        (-0.56, -1.68),
    ]
    pen.blob(head, lit(shell, 0.3), shell)
    screen = [
        (-0.38, -1.9),
        (0, -1.95),
        (0.38, -1.9),
        (0.43, -1.68),
        (0.36, -1.48),
        (0, -1.43),
        (-0.36, -1.48),
        (-0.43, -1.68),
    ]
    pen.blob(screen, color("#1c2440"), color("#2c3860"))
    for way in (-1, 1):
        pen.glow(way * 0.18, -1.73, 0.2, color("#7df0e0"), 0.6)
        pen.oval(way * 0.18, -1.73, 0.075, 0.095, color("#a8fff2"))
        pen.oval(way * 0.29, -1.6, 0.05, 0.028, veil(color("#ff9aa8"), 0.7))
    pen.stroke([(-0.1, -1.59), (0, -1.55), (0.1, -1.59)], 0.03, color("#a8fff2"))


def draw_pupil(pen: Pen, palette: Palette, hair: Color, shirt: Color, style: int) -> None:
    """Draw a pupil seen from behind, head and shoulders, about 1.6 units high."""
    skin = mix(color("#d9a066"), palette.near, 0.15)
    pen.blob(
        [(-0.75, 0.3), (-0.62, -0.5), (-0.3, -0.7), (0.3, -0.7), (0.62, -0.5), (0.75, 0.3)],
        lit(shirt, 0.1),
        lit(shirt, -0.25),
    )
    pen.polygon([(-0.13, -0.62), (0.13, -0.62), (0.13, -0.9), (-0.13, -0.9)], lit(skin, -0.15))
    for way in (-1, 1):
        pen.oval(way * 0.38, -1.08, 0.08, 0.11, skin)
    pen.blob(
        [
            (0, -1.56),
            (0.34, -1.42),
            (0.4, -1.08),
            (0.26, -0.8),
            (0, -0.74),
            (-0.26, -0.8),
            (-0.4, -1.08),
            (-0.34, -1.42),
        ],
        lit(hair, 0.14),
        hair,
        lit(hair, -0.2),
    )
    if style % 3 == 0:
        pen.oval(0, -1.66, 0.18, 0.17, lit(hair, 0.1), lit(hair, -0.15))
    elif style % 3 == 1:
        for way in (-1, 1):
            tail = [(0.3, -1.3), (0.56, -1.24), (0.6, -0.86), (0.48, -0.66), (0.4, -0.9)]
            pen.blob([(way * x, y) for x, y in tail], hair, lit(hair, -0.2))
            pen.oval(way * 0.37, -1.22, 0.07, 0.07, palette.accents[0])
    else:
        for x in (-0.26, -0.13, 0.02, 0.16, 0.28):
            pen.blob([(x - 0.1, -1.36), (x - 0.02, -1.64), (x + 0.1, -1.34)], lit(hair, 0.08))
    pen.oval(-0.12, -1.36, 0.14, 0.07, veil(lit(hair, 0.5), 0.3), turn=-24)
