"""Things people build or plant, as figures: boats, lighthouses, houses, palms, rockets."""

from .palettes import Color, Palette, color, lit, mix, veil
from .pen import Pen


def draw_sailboat(pen: Pen, palette: Palette, near: bool, hull: Color | None = None) -> None:
    """Draw a sail boat afloat, about 1.8 units long and 2.3 high."""
    sail = lit(palette.accents[2], -0.12 if palette.dark else 0.25)
    jib = hull or palette.accents[0]
    hull = lit(jib, -0.15)
    trim = lit(palette.accents[2], 0.2)
    if near:
        for step in range(9):
            y, wide = 0.06 + step * 0.11, 0.62 * (1 - step / 12)
            sway = 0.05 * (-1) ** step
            tone = veil(mix(sail, palette.water, 0.15), 0.42 * (1 - step / 11))
            pen.oval(sway, y, wide * 0.8, 0.026, tone)
            pen.oval(0.1 - sway, y - 0.03, wide, 0.022, veil(lit(palette.water, -0.5), 0.4))
        pen.oval(0, 0.02, 1.0, 0.05, veil(lit(palette.water, -0.55), 0.55))
    pen.polygon(
        [(0.0, -2.25), (0.035, -2.25), (0.05, -0.2), (-0.015, -0.2)], lit(palette.near, 0.1)
    )
    main = [(0.06, -2.2), (0.3, -1.75), (0.55, -1.2), (0.72, -0.75), (0.82, -0.42), (0.06, -0.36)]
    pen.polygon(main, lit(sail, 0.3), sail, mix(sail, palette.sky[1], 0.35))
    pen.polygon(
        [(0.06, -2.2), (0.24, -1.86), (0.3, -1.2), (0.26, -0.4), (0.06, -0.36)],
        veil(mix(sail, palette.water, 0.5), 0.16),
    )
    front = [
        (-0.03, -2.0),
        (-0.2, -1.5),
        (-0.46, -0.95),
        (-0.82, -0.4),
        (-0.4, -0.34),
        (-0.03, -0.38),
    ]
    pen.polygon(front, lit(jib, 0.25), jib)
    if near:
        pen.polygon([(0.06, -1.02), (0.63, -0.98), (0.69, -0.83), (0.06, -0.85)], veil(jib, 0.85))
        pen.polygon([(0.0, -2.25), (0.0, -2.38), (-0.2, -2.3)], palette.accents[1])
    deck = [(-1.0, -0.27), (0.92, -0.25), (0.84, -0.1), (0.72, 0.03), (-0.68, 0.03), (-0.86, -0.1)]
    pen.polygon(deck, lit(hull, 0.12), hull, lit(hull, -0.4))
    pen.polygon([(-1.0, -0.27), (0.92, -0.25), (0.9, -0.2), (-0.95, -0.21)], trim)
    if near:
        pen.polygon([(-0.25, -0.26), (-0.2, -0.38), (0.3, -0.38), (0.4, -0.26)], trim)
        for x in (-0.1, 0.06, 0.22):
            pen.oval(x, -0.32, 0.035, 0.03, lit(palette.water, -0.2))


def draw_lighthouse(pen: Pen, palette: Palette) -> None:
    """Draw a striped lighthouse with its beam, about 3.4 units high."""
    white = mix(lit(palette.accents[2], 0.3), palette.sky[1], 0.3 if palette.dark else 0.05)
    red = palette.accents[0]
    shadow, metal = lit(palette.near, -0.1), lit(palette.near, -0.35)
    for step in range(14):
        long = 1.2 + 0.42 * step
        for way in (-1, 1):
            beam = [
                (0, -2.88),
                (way * long, -2.88 - long * 0.11),
                (way * long, -2.88 + long * 0.11),
            ]
            pen.polygon(beam, veil(palette.light, 0.045 if palette.dark else 0.026))
    house = [(0.3, 0.06), (0.3, -0.42), (1.0, -0.42), (1.0, 0.06)]
    pen.polygon(house, white, mix(white, shadow, 0.25))
    pen.polygon([(0.22, -0.4), (0.4, -0.72), (0.92, -0.72), (1.08, -0.4)], red, lit(red, -0.25))
    pen.polygon(
        [(0.58, -0.3), (0.76, -0.3), (0.76, -0.1), (0.58, -0.1)], lit(palette.accents[1], 0.2)
    )
    foot, top, height = 0.42, 0.25, 2.55
    for band in range(5):
        low, high = band / 5, (band + 1) / 5
        a, b = foot + (top - foot) * low, foot + (top - foot) * high
        tone = white if band % 2 == 0 else red
        y, z = 0.06 - height * low, 0.06 - height * high
        pen.polygon([(-a, y), (-b, z), (b, z), (a, y)], tone)
        pen.polygon([(a * 0.15, y), (b * 0.15, z), (b, z), (a, y)], veil(shadow, 0.16))
        pen.polygon([(a * 0.6, y), (b * 0.6, z), (b, z), (a, y)], veil(shadow, 0.18))
    pen.blob([(-0.1, 0.06), (-0.1, -0.25), (0, -0.36), (0.1, -0.25), (0.1, 0.06)], metal)
    for y in (-1.0, -1.85):
        pen.oval(-0.05, y, 0.06, 0.09, metal)
    pen.polygon([(-0.4, -2.46), (0.4, -2.46), (0.34, -2.6), (-0.34, -2.6)], metal)
    pen.polygon([(-0.22, -2.6), (0.22, -2.6), (0.22, -3.1), (-0.22, -3.1)], lit(palette.light, 0.4))
    for x in (-0.22, -0.07, 0.07, 0.22):
        pen.polygon(
            [(x - 0.015, -2.6), (x + 0.015, -2.6), (x + 0.015, -3.1), (x - 0.015, -3.1)], metal
        )
    pen.polygon([(-0.3, -3.08), (-0.1, -3.34), (0.1, -3.34), (0.3, -3.08)], red, lit(red, -0.3))
    pen.oval(0, -3.4, 0.05, 0.07, metal)
    pen.glow(0, -2.86, 1.5, lit(palette.light, 0.4), 0.75)


def draw_palm(pen: Pen, palette: Palette) -> None:
    """Draw a leaning palm, about 2 units high."""
    bark = mix(palette.near, color("#6b4a32"), 0.5)
    pen.oval(0.1, 0.0, 0.4, 0.04, veil(lit(palette.near, -0.5), 0.3))
    trunk = [(-0.08, 0.0), (-0.03, -0.7), (0.12, -1.3), (0.34, -1.82)]
    right = [(0.42, -1.78), (0.23, -1.28), (0.08, -0.7), (0.08, 0.0)]
    pen.blob([*trunk, *right], lit(bark, 0.1), lit(bark, -0.25))
    leaf = palette.leaf
    fronds = (
        (-0.5, -1.15),
        (1.15, -1.1),
        (-1.0, -1.4),
        (1.6, -1.5),
        (-0.95, -1.95),
        (1.45, -2.05),
        (-0.3, -2.35),
        (0.95, -2.4),
    )
    for index, (x, y) in enumerate(fronds):
        tone = lit(leaf, (-0.35, -0.3, -0.15, -0.1, 0.05, 0.0, 0.16, 0.1)[index])
        cx, cy = 0.38, -1.8
        mx, my = (cx + x) / 2, (cy + min(cy, y)) / 2 - 0.26
        pen.blob([(cx, cy), (mx, my), (x, y), (mx, my + 0.2)], tone)
        pen.stroke([(cx, cy), (mx, my + 0.1), (x, y)], 0.012, lit(tone, -0.25))
    for x, y in ((0.3, -1.72), (0.44, -1.7), (0.37, -1.64)):
        pen.oval(x, y, 0.075, 0.08, lit(bark, -0.2))


def draw_house(pen: Pen, palette: Palette, wall: Color, roof: Color, lights: bool) -> None:
    """Draw a gabled house seen from a corner, about 1.5 units wide and 1.6 high."""
    shade = mix(wall, palette.near, 0.32)
    pane = lit(palette.accents[1], 0.3) if lights else mix(palette.near, palette.sky[1], 0.3)
    pen.oval(0.1, 0.02, 0.95, 0.07, veil(lit(palette.near, -0.5), 0.28))
    pen.polygon([(0.38, -1.42), (0.54, -1.42), (0.54, -1.0), (0.38, -1.0)], mix(roof, shade, 0.5))
    pen.polygon([(-0.05, 0), (-0.05, -0.72), (0.75, -0.72), (0.75, 0)], wall, lit(wall, -0.1))
    pen.polygon([(-0.75, 0), (-0.75, -0.72), (-0.4, -1.28), (-0.05, -0.72), (-0.05, 0)], shade)
    pen.polygon([(-0.4, -1.34), (0.5, -1.34), (0.86, -0.66), (-0.02, -0.66)], lit(roof, 0.12), roof)
    pen.polygon(
        [
            (-0.4, -1.34),
            (-0.02, -0.66),
            (-0.1, -0.66),
            (-0.43, -1.26),
            (-0.76, -0.66),
            (-0.84, -0.66),
        ],
        lit(roof, -0.22),
    )
    for x in (0.12, 0.47):
        pen.polygon([(x, -0.28), (x, -0.54), (x + 0.17, -0.54), (x + 0.17, -0.28)], pane)
        pen.polygon(
            [(x + 0.075, -0.28), (x + 0.075, -0.54), (x + 0.095, -0.54), (x + 0.095, -0.28)], wall
        )
    pen.polygon([(-0.52, 0), (-0.52, -0.36), (-0.28, -0.36), (-0.28, 0)], lit(roof, -0.35))
    pen.polygon([(-0.48, -0.62), (-0.48, -0.84), (-0.32, -0.84), (-0.32, -0.62)], pane)
    if lights:
        pen.glow(0.3, -0.4, 0.8, palette.accents[1], 0.35)
        pen.glow(-0.4, -0.72, 0.5, palette.accents[1], 0.3)


def draw_church(pen: Pen, palette: Palette, wall: Color, roof: Color, lights: bool) -> None:
    """Draw a small church with a spire, about 1.8 units wide and 3.4 high."""
    shade = mix(wall, palette.near, 0.3)
    pane = lit(palette.accents[1], 0.25) if lights else mix(palette.near, palette.water, 0.4)
    pen.polygon([(-0.2, 0), (-0.2, -0.95), (1.15, -0.95), (1.15, 0)], wall, lit(wall, -0.1))
    pen.polygon([(-0.2, -0.9), (0.0, -1.5), (1.0, -1.5), (1.25, -0.9)], lit(roof, 0.1), roof)
    for x in (0.25, 0.57, 0.89):
        pen.blob(
            [
                (x - 0.06, -0.25),
                (x - 0.06, -0.55),
                (x, -0.68),
                (x + 0.06, -0.55),
                (x + 0.06, -0.25),
            ],
            pane,
        )
    pen.polygon([(-0.55, 0), (-0.55, -1.95), (0.05, -1.95), (0.05, 0)], lit(wall, 0.1), wall)
    pen.polygon([(-0.25, 0), (-0.25, -1.95), (0.05, -1.95), (0.05, 0)], veil(shade, 0.5))
    pen.polygon([(-0.63, -1.9), (-0.25, -3.2), (0.13, -1.9)], lit(roof, 0.1), lit(roof, -0.1))
    pen.polygon([(-0.25, -1.9), (-0.25, -3.2), (0.13, -1.9)], veil(lit(roof, -0.5), 0.3))
    pen.oval(-0.25, -1.6, 0.14, 0.14, lit(wall, 0.5))
    pen.stroke([(-0.25, -1.7), (-0.25, -1.6), (-0.18, -1.56)], 0.02, palette.near)
    pen.blob(
        [(-0.37, 0), (-0.37, -0.4), (-0.25, -0.55), (-0.13, -0.4), (-0.13, 0)], lit(roof, -0.4)
    )
    if lights:
        pen.glow(0.57, -0.45, 0.8, palette.accents[1], 0.35)


def draw_rocket(pen: Pen, palette: Palette) -> None:
    """Draw a rocket in flight, its flame below, about 3 units high."""
    body, fin = lit(palette.accents[2], 0.3), palette.accents[0]
    pen.glow(0, 0.5, 1.6, palette.accents[1], 0.6)
    pen.blob([(-0.25, 0), (-0.32, 0.4), (0, 1.5), (0.32, 0.4), (0.25, 0)], color("#ff8a3c"))
    pen.blob([(-0.14, 0), (-0.16, 0.3), (0, 0.9), (0.16, 0.3), (0.14, 0)], color("#ffe9a8"))
    for way in (-1, 1):
        pen.blob(
            [(way * 0.3, -0.75), (way * 0.7, -0.2), (way * 0.72, 0.2), (way * 0.3, -0.05)],
            lit(fin, -0.2),
        )
    hull = [
        (0, -2.1),
        (0.32, -1.5),
        (0.42, -0.8),
        (0.28, 0),
        (-0.28, 0),
        (-0.42, -0.8),
        (-0.32, -1.5),
    ]
    pen.blob(hull, body)
    pen.blob(
        [(0.08, -1.95), (0.32, -1.5), (0.42, -0.8), (0.28, 0), (0.12, -0.02), (0.2, -0.8)],
        veil(palette.near, 0.3),
    )
    pen.blob([(0, -2.12), (0.2, -1.8), (0.27, -1.6), (0, -1.52), (-0.27, -1.6), (-0.2, -1.8)], fin)
    pen.oval(0, -1.1, 0.2, 0.2, lit(fin, -0.3))
    pen.oval(0, -1.1, 0.14, 0.14, color("#8fd8ee"))
    pen.oval(-0.04, -1.14, 0.05, 0.05, (255, 255, 255))
