"""The four seasons: what is green changes its color, and something falls from the sky."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from ..drawing.layers import graded, ramp, soft, toned
from ..drawing.palettes import Color, color
from .edit_canvas import EditCanvas, Effect, on

SNOW_WORDS = "winter wintry snow snowy snowing snowfall snowstorm blizzard christmas"
"""The words for which it is winter, and snows."""

_LEAVES = tuple(color(code) for code in ("#c8442b", "#e8862e", "#f0b13c", "#8a4a2b", "#b5651d"))
_PETALS = tuple(color(code) for code in ("#ffd9e6", "#f7a6c4", "#fff1f5"))


def _winter(canvas: EditCanvas) -> None:
    """Grass becomes snow, the light cold; snow lies on what stands out against the sky."""
    before = canvas.image.copy()
    canvas.put(graded(ImageEnhance.Color(before).enhance(0.86), "#050a1a #788599 #f2faff"))
    snow = toned(ImageOps.autocontrast(before.convert("L"), 1), "#7f9dbf #e3edf6 #ffffff")
    canvas.put(snow, ramp(_greenery(before), 0, 255, 0.9))
    if canvas.sky is not None:
        height = Image.linear_gradient("L").resize(canvas.image.size)
        canvas.put(toned(height, "#8fb0d0 #eef4f8"), ramp(canvas.sky, 0, 255, 0.6))
    canvas.put((250, 252, 255), _caps(canvas, before))
    _lay_bank(canvas)


def _greenery(image: Image.Image) -> Image.Image:
    """Where leaves and grass are: by their hue, and not where hardly any color is."""
    hue, saturation, _ = image.convert("HSV").split()
    green = ImageChops.multiply(ramp(hue, 30, 44), ramp(hue, 126, 108))
    return ImageChops.multiply(green, ramp(saturation, 26, 68))


def _caps(canvas: EditCanvas, image: Image.Image) -> Image.Image:
    """Where snow lies: where something darker begins below something lighter."""
    unit = canvas.unit / 2
    calm = image.convert("L").reduce(2).filter(ImageFilter.GaussianBlur(unit * 0.006))
    lower = calm.copy()
    lower.paste(calm, (0, round(unit * 0.02)))
    edges = ramp(ImageChops.subtract(lower, calm), 34, 70)
    patches = ramp(canvas.noise(14, 2).resize(calm.size), 92, 93)
    caps = ImageChops.multiply(edges, patches).filter(ImageFilter.GaussianBlur(unit * 0.005))
    return ramp(caps, 96, 147).resize(image.size, Image.Resampling.BICUBIC)


def _lay_bank(canvas: EditCanvas) -> None:
    """A bank of snow along the lower edge: there is always some, whatever the image."""
    rng, width, height = canvas.rng, canvas.width, canvas.height
    waves = [(rng.uniform(1, 5), rng.uniform(0, 6.3), rng.uniform(0.3, 1)) for _ in range(4)]
    for level, tone in ((0.075, "#c9dcec"), (0.05, "#eef5fb")):
        tops = []
        for x in range(0, width + 8, 8):
            swell = sum(part * math.sin(turns * 6.3 * x / width + at) for turns, at, part in waves)
            tops.append((x, height - canvas.unit * (level + 0.012 * swell)))
        bank = Image.new("L", (width, height))
        ImageDraw.Draw(bank).polygon([(0, height), *tops, (width, height)], fill=255)
        canvas.put(color(tone), soft(bank, canvas.unit * 0.004))
        waves = [(turns, at + 2, part) for turns, at, part in waves]


def _autumn(canvas: EditCanvas) -> None:
    """Green turns to rust and gold, in patches, and leaves fall."""
    before = canvas.image.copy()
    light = ImageOps.autocontrast(before.convert("L"), 1)
    gold = toned(light, "#4a2a0c #dd9a2b #ffe9a8")
    rust = toned(light, "#3d1408 #c04a20 #ffc98a")
    canvas.put(graded(before, "#080000 #8c7d69 #fff7db"))
    turned = Image.composite(rust, gold, ramp(canvas.texture(5, 3), 90, 175))
    canvas.put(turned, ramp(_greenery(before), 0, 255, 0.92))
    _strew(canvas, _LEAVES, 60, 0.016)


def _spring(canvas: EditCanvas) -> None:
    """Fresh green, a light sky, and petals on the wind."""
    before = canvas.image.copy()
    canvas.put(graded(ImageEnhance.Color(before).enhance(1.25), "#0a0a0f #8f9187 #ffffff"))
    young = toned(ImageOps.autocontrast(before.convert("L"), 1), "#1f5b2a #86cf57 #f2ffc4")
    canvas.put(young, ramp(_greenery(before), 0, 255, 0.75))
    _strew(canvas, _PETALS, 90, 0.011)


def _summer(canvas: EditCanvas) -> None:
    """High sun: strong colors, and light that spills in from a corner."""
    vivid = ImageEnhance.Color(canvas.image).enhance(1.35)
    canvas.put(graded(vivid, "#050300 #918775 #ffffed"))
    x = canvas.width * canvas.rng.choice((0.08, 0.92))
    canvas.glow(x, 0, canvas.unit * 0.95, (255, 222, 120), 0.5)
    canvas.glow(x, 0, canvas.unit * 0.34, (255, 250, 225), 0.85)


def _strew(canvas: EditCanvas, colors: Sequence[Color], count: int, size: float) -> None:
    """Let leaves or petals fall: near ones few, large and out of focus."""
    rng, unit, width, height = canvas.rng, canvas.unit, canvas.width, canvas.height
    for depth in (0.6, 1.0, 1.9):
        layer = Image.new("RGBA", (width, height), (*colors[0], 0))
        for _ in range(round(count * width * height / unit**2 / depth**2.2)):
            leaf = _leaf(unit * size * depth * rng.uniform(0.7, 1.2), rng.uniform(0.25, 0.6))
            place = (rng.uniform(-0.05, 1) * width, rng.uniform(-0.05, 1) * height)
            leaf = leaf.rotate(rng.uniform(0, 360)).reduce(2)
            layer.paste((*rng.choice(colors), 255), (round(place[0]), round(place[1])), leaf)
        if depth > 1.5:
            layer = layer.filter(ImageFilter.GaussianBlur(unit * 0.002))
        canvas.put(layer.convert("RGB"), layer.getchannel("A"))


def _leaf(length: float, slender: float) -> Image.Image:
    """A pointed oval, twice as large as it will be."""
    middle = max(2.0, length * 2.4)
    long, wide = length * 2, length * 2 * slender
    turns = [n * math.pi / 12 for n in range(24)]
    outline = [
        (middle + long * math.cos(turn), middle + wide * math.sin(turn) * abs(math.sin(turn)))
        for turn in turns
    ]
    leaf = Image.new("L", (round(middle * 2), round(middle * 2)))
    ImageDraw.Draw(leaf).polygon(outline, fill=235)
    return leaf


SEASONS = (
    Effect(on(f"{SNOW_WORDS} frost frosty frozen ice icy january december"), _winter),
    Effect(
        on("autumn autumnal october november harvest", "in fall", "make it fall", "fall color"),
        _autumn,
    ),
    Effect(on("spring springtime april blossom easter"), _spring),
    Effect(on("summer summery sun sunny sunshine july holiday"), _summer),
)
"""What the words for each season do."""
