"""The water-line: half the image above the surface of a pool or the sea, half below it."""

import math
from dataclasses import replace

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .canvas import Canvas, Point
from .fish import draw_fish, draw_whale
from .palettes import Palette, color, lit, mix, veil
from .pen import Pen
from .ridge import trace_ridge
from .sky import draw_sky
from .species import FURRY
from .subject import Creature, Subject
from .swimmer import draw_bubbles, draw_splash, draw_swimmer


def draw_waterline(canvas: Canvas, subject: Subject, palette: Palette) -> None:
    """Draw what a camera sees that is half under water."""
    rng, unit = canvas.rng, canvas.unit
    if palette.water[0] > palette.water[2] and not subject.tints:
        palette = replace(palette, water=mix(palette.water, color("#157a93"), 0.85))
    swimmer = find_swimmer(subject)
    deep = swimmer is None and not subject.has("pool", "waterline", "swim", "swimming")
    level = canvas.height * (0.24 if deep else rng.uniform(0.5, 0.54))
    shore = level - unit * 0.045
    draw_sky(canvas, subject, palette, shore)
    _draw_shore(canvas, subject, palette, shore, level)
    surface = _trace_surface(canvas, level)
    pool = subject.has("pool")
    _draw_depths(canvas, palette, surface, level, pool)
    _draw_rays(canvas, palette, level)
    if deep or not pool:
        _draw_reef(canvas, palette)
    _draw_swarm(canvas, subject, palette, level, pool)
    if swimmer is not None:
        x = canvas.width * rng.choice((0.4, 0.5, 0.58))
        draw_swimmer(canvas, palette, swimmer, x, level)
    draw_bubbles(canvas, canvas.width * 0.5, level)
    _draw_seam(canvas, palette, surface)
    if swimmer is not None:
        draw_splash(canvas, x, level)


def find_swimmer(subject: Subject) -> Creature | None:
    """Find the one animal that swims at the surface."""
    swim = (*FURRY, "duck", "penguin")
    return next((one for one in subject.creatures if one.kind in swim), None)


def _trace_surface(canvas: Canvas, level: float) -> list[Point]:
    """Trace the wave where water meets the lens."""
    rng, unit = canvas.rng, canvas.unit
    shift, slow = rng.uniform(0, 6), rng.uniform(2.4, 3.4)
    tops = []
    for step in range(201):
        x = canvas.width * step / 200
        turn = x / unit
        wave = math.sin(turn * slow + shift) + 0.35 * math.sin(turn * slow * 2.7 + 2 * shift)
        tops.append((x, level + unit * 0.011 * (wave + 0.3 * math.sin(turn * 23 + shift))))
    return tops


def _draw_shore(
    canvas: Canvas, subject: Subject, palette: Palette, shore: float, level: float
) -> None:
    """Draw what is behind the swimmer: hedges and a pool's edge, or open sea."""
    rng, unit = canvas.rng, canvas.unit
    if not subject.has("pool"):
        tone = mix(palette.sky[2], palette.water, 0.45)
        canvas.gradient([tone, mix(tone, palette.water, 0.5)], shore, level + unit * 0.03)
        for _ in range(round(90 * canvas.width / unit)):
            x, y = rng.uniform(0, canvas.width), rng.uniform(shore, level)
            wide = unit * rng.uniform(0.01, 0.05)
            canvas.draw.ellipse(
                (x - wide, y - 1.5, x + wide, y + 1.5), fill=veil(palette.light, 0.35)
            )
        return
    for layer, (rise, tone) in enumerate(
        ((0.2, mix(palette.leaf, palette.sky[2], 0.45)), (0.12, palette.leaf))
    ):
        tops = trace_ridge(
            canvas, shore - unit * 0.02, unit * rise, unit * (0.11 - 0.03 * layer), 3, False
        )
        canvas.ground(tops, [lit(tone, 0.2), lit(tone, -0.25)], shore)
    deck = lit(mix(color("#f0e2cc"), palette.sky[1], 0.25), -0.3 if palette.dark else 0.1)
    canvas.gradient([deck, lit(deck, -0.1)], shore - unit * 0.014, shore + unit * 0.008)
    tile = mix(palette.water, (255, 255, 255), 0.35)
    canvas.gradient([lit(tile, -0.2), tile], shore + unit * 0.008, level + unit * 0.03)
    span = unit * 0.035
    for index in range(math.ceil(canvas.width / span)):
        x = index * span
        canvas.draw.line(
            (x, shore + unit * 0.008, x, level), fill=veil((255, 255, 255), 0.3), width=2
        )
    for index in range(math.ceil(canvas.width / unit * 2)):
        if index % 2 == 0:
            x = (index + rng.uniform(0.2, 0.8)) * unit * 0.5
            _draw_parasol(Pen(canvas, x, shore - unit * 0.01, unit * 0.1), palette, index // 2)


def _draw_parasol(pen: Pen, palette: Palette, turn: int) -> None:
    """Put a parasol on the deck, as a sign of summer."""
    tone = palette.accents[turn % 2]
    pen.polygon([(-0.02, 0), (0.02, 0), (0.02, -1.5), (-0.02, -1.5)], lit(palette.near, 0.2))
    for part in range(6):
        a, b = -0.9 + part * 0.3, -0.6 + part * 0.3
        fill = tone if part % 2 == 0 else lit(palette.accents[2], 0.3)
        pen.polygon(
            [(0, -1.85), (a, -1.3 - 0.1 * (0.81 - a * a)), (b, -1.3 - 0.1 * (0.81 - b * b))], fill
        )


def _draw_depths(
    canvas: Canvas, palette: Palette, surface: list[Point], level: float, pool: bool
) -> None:
    """Fill everything below the surface; a pool has a tiled floor, the sea goes dark."""
    unit = canvas.unit
    bright = mix(palette.water, lit(palette.sky[1], 0.2), 0.5)
    low = mix(palette.water, bright, 0.25) if pool else lit(palette.water, -0.45)
    canvas.ground(surface, [bright, mix(bright, palette.water, 0.75), low], canvas.height)
    if not pool:
        return
    back = canvas.height - min(unit * 0.22, (canvas.height - level) * 0.4)
    floor = mix(bright, (255, 255, 255), 0.18)
    canvas.gradient([mix(low, floor, 0.4), floor], back, canvas.height)
    middle = canvas.width / 2
    seam = veil(lit(palette.water, 0.05), 0.5)
    for index in range(-14, 15):
        x = middle + index * unit * 0.1
        far = middle + index * unit * 0.062
        if canvas.width > 2 * unit:
            far = x * 0.96 + middle * 0.04
        canvas.draw.line((far, back, x * 1.9 - middle * 0.9, canvas.height), fill=seam, width=3)
    for row in range(5):
        y = back + (canvas.height - back) * (row / 5) ** 1.5
        canvas.draw.line((0, y, canvas.width, y), fill=seam, width=3)


def _draw_rays(canvas: Canvas, palette: Palette, level: float) -> None:
    """Let slanting light fall into the water, and let it dance on it as a net."""
    rng, unit = canvas.rng, canvas.unit
    size = (canvas.width // 6 + 1, canvas.height // 6 + 1)
    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    for _ in range(round(9 * canvas.width / unit)):
        x, wide = rng.uniform(-0.1, 1.1) * size[0], unit / 6 * rng.uniform(0.015, 0.06)
        lean, low = unit / 6 * rng.uniform(0.15, 0.3), level / 6 + unit / 6 * rng.uniform(0.3, 0.75)
        shape = [
            (x, level / 6),
            (x + wide, level / 6),
            (x + lean + 2.5 * wide, low),
            (x + lean, low),
        ]
        pen.polygon(shape, fill=rng.randint(50, 120))
    mask = mask.filter(ImageFilter.GaussianBlur(unit / 6 * 0.014))
    fade = Image.linear_gradient("L").transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    high = max(1, size[1] - round(level / 6))
    shade = Image.new("L", size)
    shade.paste(fade.resize((size[0], high)), (0, round(level / 6)))
    canvas.wash(lit(palette.light, 0.3), ImageChops.multiply(mask, shade))
    web = [round(max(0, 120 - abs(v - 128) * 9)) for v in range(256)]
    net = ImageChops.multiply(canvas.noise(12, 2, 2.4).point(web), canvas.noise(4, 2, 3))
    reach = Image.new("L", net.size)
    top = round(level / canvas.height * net.size[1])
    reach.paste(fade.resize((net.size[0], max(1, net.size[1] - top))), (0, top + 1))
    canvas.wash(lit(palette.light, 0.5), ImageChops.multiply(net, reach))


def _draw_reef(canvas: Canvas, palette: Palette) -> None:
    """Grow a sea floor with weed and coral in the image's accents."""
    rng, unit = canvas.rng, canvas.unit
    for layer in range(2):
        tone = mix(lit(palette.water, -0.3), palette.near, 0.25 + 0.35 * layer)
        tops = trace_ridge(
            canvas, canvas.height - unit * 0.02, unit * (0.2 - 0.08 * layer), unit * 0.3, 3, False
        )
        canvas.ground(tops, [lit(tone, 0.12), lit(tone, -0.3)], canvas.height)
        for _ in range(round(16 * canvas.width / unit)):
            x, y = tops[rng.randrange(len(tops))]
            tint = mix(rng.choice((*palette.accents, palette.leaf)), tone, 0.55 - 0.3 * layer)
            pen = Pen(
                canvas, x, y + unit * 0.02, unit * rng.uniform(0.07, 0.16), rng.random() < 0.5
            )
            if rng.random() < 0.55:
                for blade in range(4):
                    lean = (blade - 1.5) * 0.16
                    high = rng.uniform(0.7, 1.3)
                    path = [
                        (lean, 0),
                        (lean + 0.1, -high * 0.4),
                        (lean - 0.06, -high * 0.7),
                        (lean + 0.1, -high),
                    ]
                    pen.stroke(path, 0.07, lit(tint, -0.1 * blade))
            else:
                for turn in (-0.9, -0.45, 0, 0.4, 0.85):
                    tip = (math.sin(turn) * 0.6, -math.cos(turn) * rng.uniform(0.5, 0.8))
                    pen.stroke([(0, 0), (tip[0] * 0.3, tip[1] * 0.5), tip], 0.11, tint)
                    pen.oval(tip[0], tip[1], 0.085, 0.085, lit(tint, 0.2))


def _draw_swarm(
    canvas: Canvas, subject: Subject, palette: Palette, level: float, pool: bool
) -> None:
    """Put the fish and whales of the prompt under water; the sea has a few of its own."""
    rng, unit = canvas.rng, canvas.unit
    depth = canvas.height - level
    if not pool:
        side = rng.random() < 0.5
        for _ in range(round(11 * canvas.width / unit)):
            x, y = rng.uniform(0, canvas.width), level + depth * rng.uniform(0.14, 0.7)
            tone = mix(rng.choice(palette.accents), palette.water, 0.45)
            draw_fish(Pen(canvas, x, y, unit * rng.uniform(0.012, 0.026), side), tone)
    big = [one for one in subject.creatures if one.kind in ("fish", "whale")]
    if not big and subject.has("turtle", "octopus", "mermaid", "diver", "diving", "reef", "coral"):
        big = [Creature("fish", None, 3)]
    for one in big:
        for place in range(one.count):
            x = canvas.width * (place + rng.uniform(0.46, 0.54)) / one.count
            y = level + min(depth, unit) * rng.uniform(0.36, 0.52)
            if one.kind == "whale":
                tone = one.coat or mix(color("#3d5a80"), palette.water, 0.35)
                draw_whale(
                    Pen(canvas, x, y, unit * 0.21 / math.sqrt(one.count), rng.random() < 0.5), tone
                )
            else:
                tone = one.coat or mix(color("#f2803a"), palette.accents[0], 0.4)
                draw_fish(
                    Pen(canvas, x, y, unit * 0.15 / math.sqrt(one.count), rng.random() < 0.5), tone
                )


def _draw_seam(canvas: Canvas, palette: Palette, surface: list[Point]) -> None:
    """Draw the thick bright edge that water makes on a lens."""
    unit = canvas.unit
    for low, tone in (
        (0.03, veil(lit(palette.sky[1], 0.3), 0.3)),
        (0.013, veil((255, 255, 255), 0.5)),
        (0.005, veil((255, 255, 255), 0.85)),
    ):
        under = [(x, y + unit * low) for x, y in reversed(surface)]
        canvas.draw.polygon([*surface, *under], fill=tone)
