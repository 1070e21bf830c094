"""Mountains: ranges that pale with distance, snow, mist, a lake, pines, desert dunes."""

import math

from .canvas import Canvas, Point
from .creatures import draw_creatures
from .desert import draw_dunes
from .palettes import Color, Palette, lit, mix, veil
from .pen import Pen
from .ridge import trace_ridge
from .sky import draw_sky
from .subject import Subject
from .trees import draw_pine

_WATER = ("lake", "fjord", "river", "reflection", "water")
_SAND = ("desert", "dune", "camel", "sahara")


def draw_mountain(canvas: Canvas, subject: Subject, palette: Palette) -> None:
    """Draw mountains in the way the prompt's other words ask for."""
    unit = canvas.unit
    lake, sand = subject.has(*_WATER), subject.has(*_SAND)
    horizon = canvas.level(0.6 if lake else 0.62, 1.5)
    sun = draw_sky(canvas, subject, palette, horizon + unit * 0.02)
    if sand:
        draw_dunes(canvas, palette, horizon)
        draw_creatures(canvas, subject, palette, ground=0.9, horizon=horizon)
        return
    reach = min(horizon, unit * 0.75)
    peaks = not subject.has("hill", "valley") or subject.has("mountain", "alp", "peak")
    snow = peaks and (
        subject.mood in ("winter", "dawn", "day", "night", "summer") or subject.has("snow")
    )
    _draw_range(canvas, palette, horizon, reach, 0, peaks, snow)
    _draw_range(canvas, palette, horizon, reach, 1, peaks, snow)
    canvas.glow(sun[0], sun[1], unit * 0.6, palette.light, 0.16)
    if lake:
        _draw_shore_trees(canvas, palette, horizon)
        canvas.mirror(
            horizon, canvas.height, mix(palette.water, palette.sky[1], 0.15), 0.86, unit * 0.006
        )
        _draw_ripples(canvas, palette, horizon, sun[0])
        _draw_bank(canvas, subject, palette)
    else:
        _draw_hills(canvas, subject, palette, horizon)
    draw_creatures(canvas, subject, palette, ground=0.91, horizon=horizon)


def _draw_range(
    canvas: Canvas,
    palette: Palette,
    horizon: float,
    reach: float,
    layer: int,
    peaks: bool,
    snow: bool,
) -> None:
    """Draw one range, sinking into the mist at its foot, its sunny flanks lit."""
    unit = canvas.unit
    pale = palette.sky[2]
    tone = mix(mix(palette.far, palette.near, 0.12 + 0.16 * layer), pale, 0.12 - 0.1 * layer)
    rise = reach * ((0.78, 0.5)[layer] if peaks else (0.46, 0.3)[layer])
    wave = unit * (0.3, 0.22)[layer] * (1 if peaks else 1.5)
    tops = trace_ridge(canvas, horizon + unit * 0.03, rise, wave, 6 if peaks else 3, peaks)
    canvas.ground(tops, [lit(tone, -0.06), tone, mix(tone, pale, 0.75)], horizon + unit * 0.03)
    if peaks:
        _draw_flanks(canvas, palette, tops, horizon, rise, tone, snow)
    boxes = []
    for _ in range(round(7 * canvas.width / unit)):
        x, wide = (
            canvas.rng.uniform(-0.1, 1.1) * canvas.width,
            unit * canvas.rng.uniform(0.12, 0.34),
        )
        y = horizon - reach * (0.03 + 0.1 * canvas.rng.random())
        boxes.append((x - wide, y - unit * 0.014, x + wide, y + unit * 0.03))
    canvas.soft(mix(pale, (255, 255, 255), 0.0 if palette.dark else 0.3), boxes, unit * 0.024, 0.5)


def _draw_flanks(
    canvas: Canvas,
    palette: Palette,
    tops: list[Point],
    horizon: float,
    rise: float,
    tone: Color,
    snow: bool,
) -> None:
    """Light one flank of every peak and lay snow on the high ones: this makes them solid."""
    rng, unit = canvas.rng, canvas.unit
    white = mix(
        mix((255, 255, 255), palette.light, 0.4), palette.sky[1], 0.5 if palette.dark else 0.08
    )
    gap = 15
    for index in range(gap, len(tops) - gap):
        x, y = tops[index]
        if y > min(b for _, b in tops[index - gap : index + gap + 1]):
            continue
        high = (horizon - y) / rise
        if high < 0.3:
            continue
        length = (horizon - y) * rng.uniform(0.5, 0.7)
        right, left = _slope(tops, index, 1, length), _slope(tops, index, -1, length)
        spine = [
            (
                x + unit * 0.012 * (1 + n * 0.8) * (-1) ** n * rng.uniform(0.4, 1),
                y + length * (n + 1) / 6,
            )
            for n in range(5)
        ]
        if snow and high > 0.42:
            deep = length * 0.62
            cap = [*reversed(_slope(tops, index, -1, deep)), *_slope(tops, index, 1, deep)[1:]]
            first, last = cap[0], cap[-1]
            ragged = [
                (
                    last[0] + (first[0] - last[0]) * n / 8,
                    last[1]
                    + (first[1] - last[1]) * n / 8
                    + deep * (0.3 if n % 2 else -0.3) * rng.uniform(0.5, 1),
                )
                for n in range(1, 8)
            ]
            canvas.draw.polygon([*cap, *ragged], fill=veil(white, 0.94))
        canvas.draw.polygon([*right, *reversed(spine)], fill=veil(lit(tone, -0.5), 0.2))
        canvas.draw.polygon([*left, *reversed(spine)], fill=veil(lit(palette.light, 0.2), 0.1))


def _slope(tops: list[Point], index: int, way: int, depth: float) -> list[Point]:
    """Walk down from a peak until the ridge turns up again or is deep enough."""
    path = [tops[index]]
    place = index + way
    while 0 <= place < len(tops) and tops[place][1] - tops[index][1] < depth:
        if tops[place][1] < path[-1][1] - 4 and tops[place][1] < tops[index][1] + depth * 0.2:
            break
        path.append(tops[place])
        place += way
        if len(path) > 70:
            break
    return path


def _draw_hills(canvas: Canvas, subject: Subject, palette: Palette, horizon: float) -> None:
    """Roll hills towards the viewer with mist between them and pines on the near ones."""
    rng, unit = canvas.rng, canvas.unit
    depth = canvas.height - horizon
    layers = 4 if depth < unit else 6
    white = subject.mood == "winter"
    pale = palette.sky[2]
    for layer in range(layers):
        near = (layer + 1) / layers
        tone = mix(
            mix(palette.far, palette.leaf, 0.35 + 0.3 * near), palette.near, near**1.5 * 0.85
        )
        if white:
            tone = mix(lit(palette.sky[2], 0.3), palette.sky[0], 0.12 + 0.2 * near)
        base = horizon + depth * (0.1 + 0.82 * near**1.25)
        tops = trace_ridge(
            canvas, base, unit * (0.12 + 0.06 * near), unit * (0.5 + 0.3 * near), 3, False
        )
        dense = round((46 - 26 * near) * canvas.width / unit)
        for _ in range(dense):
            x, y = tops[rng.randrange(len(tops))]
            size = unit * (0.03 + 0.15 * near**2) * rng.uniform(0.6, 1.15)
            needles = mix(lit(palette.near, 0.06), tone, 0.62 - 0.5 * near)
            draw_pine(Pen(canvas, x, y + size * 0.08, size), needles, white and near > 0.4, rng)
        canvas.ground(
            tops, [tone, mix(tone, pale, 0.34 * (1 - near)), lit(tone, -0.2 * near)], canvas.height
        )
        if layer < layers - 1:
            boxes = []
            for _ in range(round(5 * canvas.width / unit)):
                x, wide = rng.uniform(-0.1, 1.1) * canvas.width, unit * rng.uniform(0.15, 0.4)
                y = base + unit * rng.uniform(-0.02, 0.06)
                boxes.append((x - wide, y - unit * 0.014, x + wide, y + unit * 0.02))
            strong = 0.62 if subject.mood == "mist" or subject.has("mist", "misty", "fog") else 0.3
            canvas.soft(
                mix(pale, palette.light, 0.3), boxes, unit * 0.03, strong * (1 - near * 0.5)
            )


def _draw_shore_trees(canvas: Canvas, palette: Palette, horizon: float) -> None:
    """Line the far shore with small pines, so that the water's edge is not a bare cut."""
    rng, unit = canvas.rng, canvas.unit
    tone = mix(palette.near, palette.far, 0.3)
    tops = trace_ridge(canvas, horizon + unit * 0.012, unit * 0.045, unit * 0.5, 3, False)
    for _ in range(round(150 * canvas.width / unit)):
        x, y = tops[rng.randrange(len(tops))]
        size = unit * rng.uniform(0.02, 0.05) * (0.6 + 0.8 * abs(math.sin(x / unit * 4)))
        draw_pine(
            Pen(canvas, x, y + size * 0.2, size), lit(tone, rng.uniform(-0.12, 0.12)), False, rng
        )
    canvas.ground(tops, [lit(tone, -0.1)], horizon + 1)


def _draw_ripples(canvas: Canvas, palette: Palette, horizon: float, sun_x: float) -> None:
    """Break the reflection with thin streaks, and let the sun touch the water."""
    rng, unit = canvas.rng, canvas.unit
    depth = canvas.height - horizon
    canvas.draw.line(
        (0, horizon, canvas.width, horizon), fill=veil(lit(palette.sky[2], 0.4), 0.5), width=3
    )
    for _ in range(round(170 * canvas.width / unit)):
        near = rng.random() ** 1.5
        x, y = rng.uniform(0, canvas.width), horizon + depth * near
        wide, high = (
            unit * (0.02 + 0.12 * near) * rng.uniform(0.4, 1),
            unit * (0.0006 + 0.0022 * near),
        )
        tone = (
            veil(lit(palette.sky[1], 0.45), 0.24)
            if rng.random() < 0.7
            else veil(palette.near, 0.18)
        )
        canvas.draw.ellipse((x - wide, y - high, x + wide, y + high), fill=tone)
    for _ in range(80):
        near = rng.random()
        x = sun_x + rng.gauss(0, 0.03 + 0.05 * near) * unit
        y, wide = horizon + min(depth, unit * 0.5) * near, unit * (0.004 + 0.02 * near)
        high = unit * (0.0008 + 0.0014 * near)
        canvas.draw.ellipse(
            (x - wide, y - high, x + wide, y + high), fill=veil(lit(palette.light, 0.4), 0.6)
        )


def _draw_bank(canvas: Canvas, subject: Subject, palette: Palette) -> None:
    """Frame the lake with a dark bank and tall pines at both sides."""
    rng, unit = canvas.rng, canvas.unit
    tone = lit(palette.near, -0.12)
    tops = [
        (x, y + unit * 0.1 * math.sin(math.pi * min(1.0, max(0.0, x / canvas.width))))
        for x, y in trace_ridge(
            canvas, canvas.height - unit * 0.07, unit * 0.07, unit * 0.4, 3, False
        )
    ]
    sides = []
    for side in (0, 1):
        for _ in range(round(4 + 2 * canvas.width / unit)):
            away = rng.random() ** 1.6 * min(0.3 * canvas.width, unit * 0.42)
            sides.append((away if side == 0 else canvas.width - away, away))
    for x, away in sorted(sides, key=lambda place: -place[1]):
        size = unit * (0.46 - 0.28 * away / (unit * 0.42)) * rng.uniform(0.75, 1.1)
        foot = canvas.height - unit * 0.03
        draw_pine(
            Pen(canvas, x, foot, size),
            lit(tone, rng.uniform(0, 0.14)),
            subject.mood == "winter",
            rng,
        )
    canvas.ground(tops, [lit(tone, 0.06), lit(tone, -0.3)], canvas.height)
