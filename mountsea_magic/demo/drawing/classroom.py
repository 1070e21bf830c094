"""Rooms: a classroom with its blackboard, a window, a teacher and pupils."""

import math

from .animals import draw_sitting
from .canvas import Canvas
from .palettes import Color, Palette, color, lit, mix, veil
from .pen import Pen
from .people import draw_pupil, draw_robot
from .species import FURRY, species
from .subject import Subject


def draw_classroom(canvas: Canvas, subject: Subject, palette: Palette) -> None:
    """Draw a lesson, given by the animal of the prompt or by a robot."""
    rng, unit = canvas.rng, min(canvas.unit, canvas.height * 1.02, canvas.width * 1.02)
    floor = canvas.level(0.78, 0.32)
    wall = mix(mix(palette.sky[2], palette.accents[2], 0.5), palette.sky[1], 0.22)
    paints = ("#f6d9b0", "#bfe0d2", "#f3c6bd", "#c3d3f0", "#f4e6a8", "#d9c8ea")
    wall = mix(wall, color(rng.choice(paints)), 0.6)
    if palette.dark:
        wall = mix(palette.sky[1], palette.sky[2], 0.4)
    canvas.gradient([lit(wall, -0.08), wall, lit(wall, 0.08)], 0, floor)
    side = rng.choice((-1, 1))
    middle = canvas.width / 2
    step = unit * 0.06
    for n in range(math.ceil(canvas.width / step)):
        canvas.draw.rectangle(
            (n * step, floor - unit * 0.17, n * step + step - 2, floor),
            fill=veil(lit(wall, -0.3), 0.28),
        )
    canvas.gradient([lit(wall, -0.28)], floor - unit * 0.18, floor - unit * 0.17)
    wood = mix(color("#c98f5a"), palette.near, 0.25 + (0.3 if palette.dark else 0))
    canvas.gradient([lit(wood, 0.1), lit(wood, -0.3)], floor, canvas.height)
    for n in range(-16, 17):
        x = middle + n * unit * 0.12
        canvas.draw.line(
            (x, floor, middle + (x - middle) * 1.9, canvas.height),
            fill=veil(lit(wood, -0.5), 0.3),
            width=3,
        )
    board_y = floor - unit * 0.44
    if canvas.width > unit * 1.25:
        _draw_window(Pen(canvas, middle - side * unit * 0.66, board_y, unit * 0.15), palette)
        _draw_window(Pen(canvas, middle + side * unit * 0.78, board_y, unit * 0.15), palette)
    above = board_y - unit * 0.82
    windows = True
    while above > -unit * 0.2:
        for way in (-1, 1) if windows else ():
            _draw_window(Pen(canvas, middle + way * unit * 0.24, above, unit * 0.17), palette)
        if not windows:
            _draw_shelf(Pen(canvas, middle, above + unit * 0.08, unit * 0.4), palette, wood)
        windows = not windows
        above -= unit * 0.52
    _draw_board(Pen(canvas, middle + side * unit * 0.09, board_y, unit * 0.3, side < 0), palette)
    _draw_decor(canvas, palette, middle, board_y - unit * 0.24)
    canvas.glow(middle - side * unit * 0.5, 0, unit * 1.0, palette.light, 0.3)
    teacher = Pen(canvas, middle - side * unit * 0.24, floor + unit * 0.075, unit * 0.2, side < 0)
    kind = next((one for one in subject.creatures if one.kind in FURRY), None)
    if kind is not None and not subject.has("robot"):
        draw_sitting(teacher.moved(0, 0, 1.1), species(kind.kind, kind.coat))
    else:
        asked = subject.color_of("robot") or next(iter(subject.tints), None)
        shell = asked or mix(
            rng.choice((color("#4fa8b8"), color("#7d8fd8"), color("#e08a5a"))), palette.sky[1], 0.12
        )
        draw_robot(teacher, palette, shell)
    _draw_desk(
        Pen(canvas, middle + side * unit * 0.26, floor + unit * 0.07, unit * 0.2), palette, wood
    )
    _draw_pupils(canvas, palette)


def _draw_window(pen: Pen, palette: Palette) -> None:
    """Open the wall onto sky and hills."""
    frame = lit(palette.accents[2], 0.4)
    pen.polygon([(-1.0, -1.2), (1.0, -1.2), (1.0, 1.1), (-1.0, 1.1)], frame)
    pen.polygon(
        [(-0.9, -1.1), (0.9, -1.1), (0.9, 1.0), (-0.9, 1.0)],
        palette.sky[0],
        palette.sky[1],
        palette.sky[2],
    )
    pen.oval(0.4, -0.5, 0.2, 0.2, palette.light)
    pen.blob(
        [(-0.88, 0.96), (-0.86, 0.3), (-0.3, 0.1), (0.3, 0.4), (0.86, 0.2), (0.88, 0.96)],
        palette.leaf,
    )
    pen.polygon([(-0.05, -1.1), (0.05, -1.1), (0.05, 1.0), (-0.05, 1.0)], frame)
    pen.polygon([(-0.9, -0.1), (0.9, -0.1), (0.9, 0.0), (-0.9, 0.0)], frame)
    pen.polygon([(-1.12, 1.06), (1.12, 1.06), (1.12, 1.2), (-1.12, 1.2)], lit(frame, -0.1))


def _draw_board(pen: Pen, palette: Palette) -> None:
    """Draw the blackboard and a lesson in chalk: shapes, a curve, the solar system, no words."""
    slates = ("#2c5a4c", "#2a4560", "#3a3d4a", "#24584f")
    green = mix(color(pen.canvas.rng.choice(slates)), palette.near, 0.12)
    frame = color("#a8733f")
    pen.polygon(
        [(-1.28, -0.82), (1.28, -0.82), (1.28, 0.78), (-1.28, 0.78)], veil((10, 12, 24), 0.18)
    )
    pen.polygon(
        [(-1.25, -0.85), (1.25, -0.85), (1.25, 0.73), (-1.25, 0.73)],
        lit(frame, 0.1),
        lit(frame, -0.2),
    )
    pen.polygon(
        [(-1.17, -0.77), (1.17, -0.77), (1.17, 0.65), (-1.17, 0.65)],
        lit(green, 0.08),
        lit(green, -0.14),
    )
    pen.oval(-0.1, -0.2, 0.75, 0.25, veil((255, 255, 255), 0.035), turn=-14)
    chalk, yellow, pink = color("#eef2e8"), color("#f7dc8a"), color("#f2a8b8")
    ox, oy = 0.68, -0.28
    for n, tone in ((0.13, yellow), (0.26, chalk), (0.39, pink)):
        ring = [
            (ox + n * math.cos(k * math.tau / 24), oy + n * 0.7 * math.sin(k * math.tau / 24))
            for k in range(25)
        ]
        pen.stroke(ring, 0.012, mix(chalk, green, 0.35))
        turn = n * 9
        pen.oval(ox + n * math.cos(turn), oy + n * 0.7 * math.sin(turn), 0.04, 0.04, tone)
    pen.oval(ox, oy, 0.065, 0.065, yellow)
    pen.stroke([(0.3, 0.5), (1.02, 0.5)], 0.016, chalk)
    pen.stroke([(0.36, 0.56), (0.36, 0.12)], 0.016, chalk)
    pen.stroke([(0.36, 0.46), (0.52, 0.4), (0.66, 0.22), (0.8, 0.3), (0.98, 0.14)], 0.022, yellow)
    triangle = [(-0.1, 0.5), (0.16, 0.12), (0.16, 0.5)]
    for a, b in zip(triangle, [*triangle[1:], triangle[0]], strict=True):
        pen.stroke([a, b], 0.018, pink)
    for row in range(4):
        y = -0.58 + row * 0.15
        length = (0.62, 0.5, 0.66, 0.36)[row]
        for n in range(int(length / 0.085)):
            x = -0.1 + n * 0.085 - 0.16
            rise = 0.03 * math.sin(n * 2.7 + row * 1.9)
            pen.stroke(
                [(x, y + rise), (x + 0.03, y - 0.04), (x + 0.055, y - rise)],
                0.014,
                mix(chalk, green, 0.25),
            )
    pen.polygon([(-1.1, 0.73), (1.1, 0.73), (1.1, 0.79), (-1.1, 0.79)], lit(frame, -0.15))
    for x, tone in ((-0.6, chalk), (-0.42, yellow), (0.5, pink)):
        pen.stroke([(x, 0.715), (x + 0.1, 0.715)], 0.03, tone)


def _draw_decor(canvas: Canvas, palette: Palette, middle: float, y: float) -> None:
    """Hang a line of pennants across the top of the wall."""
    unit = min(canvas.unit, canvas.height * 1.02, canvas.width * 1.02)
    top = max(unit * 0.05, y - unit * 0.12)
    span = unit * 0.075
    count = math.ceil(canvas.width / span) + 1

    def sag(x: float) -> float:
        return top + unit * 0.03 * abs(math.sin((x - middle) / unit * 3.2))

    canvas.draw.line(
        [(n * span / 3, sag(n * span / 3)) for n in range(count * 3)],
        fill=lit(palette.near, 0.2),
        width=3,
    )
    for n in range(count):
        x = n * span
        tone = palette.accents[n % 4]
        canvas.draw.polygon(
            [
                (x, sag(x)),
                (x + span * 0.78, sag(x + span * 0.78)),
                (x + span * 0.39, sag(x) + unit * 0.06),
            ],
            fill=mix(tone, palette.sky[1], 0.1),
        )


def _draw_desk(pen: Pen, palette: Palette, wood: Color) -> None:
    """Draw the teacher's desk with a globe, books and an apple."""
    pen.oval(0, 0.02, 0.95, 0.07, veil((10, 12, 24), 0.25))
    pen.polygon(
        [(-0.8, 0), (-0.8, -0.6), (0.8, -0.6), (0.8, 0)], lit(wood, -0.15), lit(wood, -0.35)
    )
    pen.polygon([(-0.92, -0.58), (0.92, -0.58), (0.9, -0.68), (-0.9, -0.68)], lit(wood, 0.2))
    pen.polygon([(-0.68, -0.1), (-0.68, -0.5), (-0.1, -0.5), (-0.1, -0.1)], lit(wood, -0.25))
    pen.polygon([(0.1, -0.1), (0.1, -0.5), (0.68, -0.5), (0.68, -0.1)], lit(wood, -0.25))
    for n, tone in enumerate((palette.accents[0], palette.accents[3], palette.accents[1])):
        y, shift = -0.68 - n * 0.1, 0.03 * (-1) ** n
        pen.polygon(
            [
                (-0.75 + shift, y),
                (-0.2 + shift, y),
                (-0.2 + shift, y - 0.1),
                (-0.75 + shift, y - 0.1),
            ],
            tone,
        )
        pen.polygon(
            [
                (-0.72 + shift, y - 0.02),
                (-0.24 + shift, y - 0.02),
                (-0.24 + shift, y - 0.045),
                (-0.72 + shift, y - 0.045),
            ],
            veil((255, 255, 255), 0.5),
        )
    pen.oval(-0.48, -1.06, 0.11, 0.1, color("#e0453c"), color("#b52c34"))
    pen.stroke([(-0.48, -1.15), (-0.45, -1.22)], 0.025, color("#5a3620"))
    pen.oval(-0.4, -1.19, 0.06, 0.03, color("#6fb04c"), turn=-24)
    pen.stroke([(0.28, -0.7), (0.62, -0.7)], 0.05, color("#8a5a34"))
    pen.stroke([(0.45, -0.7), (0.45, -0.82)], 0.04, color("#8a5a34"))
    pen.oval(0.45, -1.08, 0.26, 0.26, color("#5fb3d8"), color("#2f78b5"))
    pen.blob(
        [(0.3, -1.22), (0.42, -1.26), (0.46, -1.12), (0.38, -1.0), (0.3, -1.1)], color("#7cc46a")
    )
    pen.blob([(0.5, -1.08), (0.62, -1.14), (0.64, -0.98), (0.54, -0.92)], color("#7cc46a"))
    pen.oval(0.36, -1.2, 0.07, 0.05, veil((255, 255, 255), 0.4), turn=-30)


def _draw_shelf(pen: Pen, palette: Palette, wood: Color) -> None:
    """Hang a shelf of books, which fills the high wall of a tall image."""
    rng = pen.canvas.rng
    x = -0.94
    while x < 0.86:
        wide, high = rng.uniform(0.05, 0.11), rng.uniform(0.26, 0.4)
        tone = lit(rng.choice(palette.accents), rng.uniform(-0.2, 0.2))
        corners = [(x, 0.0), (x, -high), (x + wide, -high), (x + wide, 0.0)]
        pen.polygon(corners, lit(tone, 0.08), lit(tone, -0.12))
        x += wide * (1.0 if rng.random() < 0.85 else 2.4)
    pen.polygon([(-1.05, 0), (1.05, 0), (1.05, 0.06), (-1.05, 0.06)], lit(wood, 0.05))


def _draw_pupils(canvas: Canvas, palette: Palette) -> None:
    """Seat pupils along the lower edge, seen from behind: the viewer sits among them."""
    rng, unit = canvas.rng, canvas.unit
    hair = [
        color(code) for code in ("#3a2a26", "#5a3620", "#d9a548", "#1f1c22", "#a84a22", "#452c20")
    ]
    count = max(3, round(canvas.width / (unit * 0.24)))
    first = rng.randrange(3)
    for n in range(count):
        x = canvas.width * (n + 0.5) / count + rng.uniform(-0.02, 0.02) * unit
        size = unit * rng.uniform(0.108, 0.124)
        tone = mix(palette.accents[(n + 1) % 4], palette.near, 0.15)
        draw_pupil(
            Pen(canvas, x, canvas.height + unit * 0.015, size),
            palette,
            rng.choice(hair),
            tone,
            n + first,
        )
