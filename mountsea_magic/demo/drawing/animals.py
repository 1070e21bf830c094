"""Furry animals as figures: one sitting body, distinguished by ears, muzzle, coat and tail."""

from .palettes import color, lit, mix, veil
from .pen import Pen
from .species import Species

_INK = (30, 24, 28)


def draw_sitting(pen: Pen, looks: Species) -> None:
    """Draw an animal that sits facing the viewer, about 1.5 units wide and 2 high."""
    coat, dim = looks.coat, lit(looks.coat, -0.22)
    paw = looks.mark if looks.face in ("mask", "patch") else mix(coat, looks.pale, 0.55)
    pen.oval(0.05, 0.0, 0.78, 0.075, veil((10, 12, 24), 0.3))
    _draw_tail(pen, looks)
    for way in (-1, 1):
        pen.oval(way * 0.36, -0.25, 0.25, 0.26, coat, dim)
    body = [(0, -1.22), (0.3, -1.05), (0.4, -0.62), (0.47, -0.2), (0.3, -0.02), (0, 0.0)]
    pen.blob([*body, *((-x, y) for x, y in reversed(body[1:-1]))], lit(coat, 0.06), coat, dim)
    chest = [(0, -1.05), (0.19, -0.9), (0.17, -0.6), (0, -0.4), (-0.17, -0.6), (-0.19, -0.9)]
    pen.blob(chest, looks.pale, mix(looks.pale, coat, 0.35))
    for way in (-1, 1):
        leg = [(0.06, -0.62), (0.25, -0.6), (0.25, -0.1), (0.16, -0.02), (0.06, -0.1)]
        limb = looks.mark if looks.face == "patch" else coat
        pen.blob([(way * x, y) for x, y in leg], lit(limb, 0.04), mix(limb, paw, 0.4))
        pen.oval(way * 0.16, -0.055, 0.135, 0.085, paw, lit(paw, -0.12))
        pen.oval(way * 0.45, -0.05, 0.15, 0.075, paw, lit(paw, -0.15))
        for toe in (-0.04, 0.04):
            pen.stroke(
                [(way * 0.16 + toe, -0.03), (way * 0.16 + toe, -0.07)], 0.014, lit(paw, -0.4)
            )
    draw_head(pen.moved(0, -1.42), looks)


def draw_head(pen: Pen, looks: Species, tongue: bool = False) -> None:
    """Draw an animal's head facing the viewer, about 1 unit wide and high."""
    coat, wide = looks.coat, looks.wide
    if looks.face == "mane":
        for turn in range(16):
            petal = pen.moved(0, 0.04)
            petal.oval(
                0, 0, 0.7, 0.2, lit(looks.mark, 0.12 if turn % 2 else -0.05), turn=turn * 11.25
            )
    if looks.ears != "flop":
        _draw_ears(pen, looks)
    skull = [(0, -0.4), (0.3, -0.34), (0.47, -0.1), (0.48, 0.14), (0.3, 0.34), (0, 0.42)]
    if looks.face == "mask":
        skull = [(0, -0.38), (0.3, -0.32), (0.46, -0.08), (0.56, 0.14), (0.3, 0.32), (0, 0.44)]
    if looks.ears == "flop":
        skull = [(0, -0.46), (0.26, -0.4), (0.44, -0.12), (0.47, 0.14), (0.3, 0.34), (0, 0.42)]
    outline = [(x * wide, y) for x, y in [*skull, *((-x, y) for x, y in reversed(skull[1:-1]))]]
    pen.blob(outline, lit(coat, 0.1), coat, lit(coat, -0.12))
    _draw_face(pen, looks)
    muzzle = looks.muzzle
    top = 0.13 - 0.06 * (muzzle - 1)
    pen.oval(0, top + 0.1, 0.2 * muzzle, 0.145 * muzzle**0.7, looks.pale, lit(looks.pale, -0.08))
    dark = sum(looks.pale) < 300
    line = lit(looks.coat, -0.65) if dark else _INK
    mouth = top + 0.15 * muzzle**0.5
    if tongue:
        tip = [
            (-0.09, mouth),
            (0.09, mouth),
            (0.1, mouth + 0.17),
            (0, mouth + 0.25),
            (-0.1, mouth + 0.17),
        ]
        pen.blob(tip, color("#f08a94"), color("#d95f74"))
        pen.stroke([(0, mouth + 0.02), (0, mouth + 0.15)], 0.014, color("#c34d63"))
    for way in (-1, 1):
        curve = [(0, mouth), (way * 0.07, mouth + 0.045), (way * 0.15, mouth + 0.01)]
        pen.stroke(curve, 0.022, line)
    pen.stroke([(0, top + 0.06), (0, mouth)], 0.02, line)
    nose = 0.068 * muzzle**0.8
    pen.blob(
        [
            (-nose, top - 0.01),
            (0, top - 0.035),
            (nose, top - 0.01),
            (nose * 0.5, top + 0.05),
            (0, top + 0.075),
            (-nose * 0.5, top + 0.05),
        ],
        lit(line, -0.2),
    )
    pen.oval(-nose * 0.3, top, nose * 0.3, 0.012, veil((255, 255, 255), 0.7))
    if looks.ears == "flop":
        _draw_ears(pen, looks)
    for way in (-1, 1):
        _draw_eye(pen.moved(way * 0.2 * wide, -0.04), dark or looks.face == "patch")
        if not dark:
            pen.oval(way * 0.33 * wide, 0.12, 0.075, 0.045, veil((240, 120, 120), 0.22))
        if looks.face in ("stripe",) or looks.ears == "long" or looks.tail == "thin":
            for lift in (-0.03, 0.035):
                whisker = [
                    (way * 0.2, top + 0.1 + lift * 0.5),
                    (way * 0.55 * wide, top + 0.06 + lift * 2),
                ]
                pen.stroke(whisker, 0.009, mix(line, looks.pale, 0.35))


def _draw_eye(pen: Pen, pale_rim: bool) -> None:
    """Draw a shining eye; on a black coat it needs a rim of its own to be seen."""
    if pale_rim:
        pen.oval(0, 0, 0.088, 0.094, color("#8a5a2e"))
    pen.oval(0, 0, 0.066, 0.08, _INK)
    pen.oval(-0.022, -0.028, 0.024, 0.026, (255, 255, 255))
    pen.oval(0.022, 0.03, 0.013, 0.013, veil((255, 255, 255), 0.7))


def _draw_face(pen: Pen, looks: Species) -> None:
    """Add the markings by which the animal is known."""
    wide = looks.wide
    for way in (-1, 1):
        if looks.face == "mask":
            cheek = [
                (0.02, 0.42),
                (0.3, 0.31),
                (0.53, 0.14),
                (0.34, 0.04),
                (0.14, 0.08),
                (0.03, 0.2),
            ]
            pen.blob([(way * x * wide, y) for x, y in cheek], looks.pale, lit(looks.pale, -0.06))
            pen.oval(way * 0.2, -0.19, 0.06, 0.035, veil(looks.pale, 0.8), turn=way * 18)
        elif looks.face == "patch":
            pen.oval(way * 0.22 * wide, -0.01, 0.14, 0.17, looks.mark, turn=way * 28)
        elif looks.face == "stripe":
            for lift in (-0.02, 0.09):
                y = lift + 0.02
                pen.polygon(
                    [
                        (way * 0.47 * wide, y - 0.03),
                        (way * 0.3 * wide, y + 0.01),
                        (way * 0.47 * wide, y + 0.03),
                    ],
                    looks.mark,
                )
        elif looks.ears == "flop" and sum(looks.pale) > 300:
            pen.oval(0, -0.14, 0.075, 0.25, veil(looks.pale, 0.75))
            return
    if looks.face == "stripe":
        for x, low in ((-0.12, -0.2), (0, -0.15), (0.12, -0.2)):
            pen.polygon([(x - 0.03, -0.37), (x + 0.03, -0.37), (x * 0.9, low)], looks.mark)


def _draw_ears(pen: Pen, looks: Species) -> None:
    """Draw both ears: they carry most of the likeness."""
    coat, wide = looks.coat, looks.wide
    inner = mix(color("#e9a8a0"), coat, 0.3)
    for way in (-1, 1):
        if looks.ears == "point":
            tip = looks.mark if looks.face == "mask" else coat
            ear = [
                (0.46, -0.1),
                (0.5, -0.42),
                (0.43, -0.66),
                (0.38, -0.66),
                (0.2, -0.46),
                (0.08, -0.33),
            ]
            pen.blob([(way * x * wide, y) for x, y in ear], tip, mix(tip, coat, 0.7), coat)
            ear = [(0.41, -0.2), (0.43, -0.4), (0.4, -0.56), (0.29, -0.46), (0.17, -0.33)]
            pen.blob([(way * x * wide, y) for x, y in ear], inner)
        elif looks.ears == "round":
            tone = looks.mark if looks.face == "patch" else lit(coat, -0.08)
            size = 0.25 if looks.muzzle < 0.85 else 0.17
            pen.oval(way * 0.35 * wide, -0.33, size, size, tone)
            core = lit(tone, 0.12) if looks.face == "patch" else inner
            pen.oval(way * 0.35 * wide, -0.32, size * 0.6, size * 0.6, core)
        elif looks.ears == "long":
            pen.oval(way * 0.2, -0.72, 0.13, 0.46, lit(coat, 0.05), coat, turn=way * 10)
            pen.oval(way * 0.2, -0.7, 0.065, 0.34, inner, turn=way * 10)
        else:
            flap = [
                (0.24, -0.36),
                (0.42, -0.34),
                (0.6, -0.1),
                (0.62, 0.2),
                (0.5, 0.3),
                (0.42, 0.12),
                (0.36, -0.12),
            ]
            pen.blob([(way * x * wide, y) for x, y in flap], lit(looks.mark, 0.08), looks.mark)


def _draw_tail(pen: Pen, looks: Species) -> None:
    """Draw the tail beside the body, behind it."""
    coat = looks.coat
    if looks.tail == "bush":
        tail = [
            (0.3, -0.1),
            (0.62, -0.16),
            (0.86, -0.5),
            (0.84, -0.95),
            (0.98, -1.3),
            (1.16, -0.9),
            (1.14, -0.4),
            (0.86, -0.04),
            (0.5, 0.02),
        ]
        pen.blob(tail, looks.pale, coat, lit(coat, -0.15))
        tip = [
            (0.84, -0.98),
            (0.98, -1.3),
            (1.16, -0.92),
            (1.07, -0.86),
            (1.0, -0.98),
            (0.92, -0.86),
        ]
        pen.blob(tip, looks.pale)
    elif looks.tail == "thin":
        pen.stroke(
            [(0.3, -0.08), (0.7, -0.06), (0.86, -0.3), (0.76, -0.6), (0.9, -0.82)], 0.11, coat
        )
        pen.oval(0.89, -0.82, 0.075, 0.09, looks.mark, turn=20)
    elif looks.tail == "wag":
        pen.blob(
            [(0.35, -0.2), (0.6, -0.3), (0.86, -0.72), (0.94, -0.62), (0.72, -0.2), (0.45, -0.05)],
            coat,
        )
