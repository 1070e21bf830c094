"""Weather: fog, rain and falling snow, laid over what was there."""

from __future__ import annotations

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter

from ..drawing.layers import graded, ramp, soft
from .edit_canvas import EditCanvas, Effect, on
from .seasons import SNOW_WORDS


def _fog(canvas: EditCanvas) -> None:
    """Fog swallows what is far, which is what is high up; it drifts in banks."""
    canvas.put(ImageEnhance.Color(canvas.image).enhance(0.6))
    height = Image.linear_gradient("L").point(
        [round(255 * (0.8 - 0.66 * (row / 255) ** 1.6)) for row in range(256)]
    )
    depth = height.resize(canvas.image.size, Image.Resampling.BICUBIC)
    banks = canvas.texture(1.6, 4, 3.0).point([96 + round(v * 0.62) for v in range(256)])
    canvas.put((222, 228, 230), ImageChops.multiply(depth, banks))
    canvas.put((236, 240, 241), ramp(canvas.texture(1.2, 4, 5.0), 120, 255, 0.58))


def _rain(canvas: EditCanvas) -> None:
    """A dull light, and slanting streaks: near ones longer and out of focus."""
    canvas.put(graded(ImageEnhance.Color(canvas.image).enhance(0.55), "#03050a #576173 #c7d4e6"))
    rng, unit, width, height = canvas.rng, canvas.unit, canvas.width, canvas.height
    slant = rng.uniform(0.12, 0.3) * rng.choice((-1, 1))
    for count, long, thick, blur, strength in (
        (900, 0.035, 0.001, 0.0005, 0.4),
        (260, 0.075, 0.002, 0.0008, 0.5),
        (40, 0.16, 0.004, 0.0024, 0.5),
    ):
        layer = Image.new("L", (width, height))
        pen = ImageDraw.Draw(layer)
        for _ in range(round(count * width * height / unit**2)):
            x, y = rng.uniform(-0.1, 1.1) * width, rng.uniform(-0.15, 1) * height
            length = unit * long * rng.uniform(0.6, 1.2)
            pen.line((x, y, x + slant * length, y + length), 255, max(1, round(thick * unit)))
        layer = layer.filter(ImageFilter.BoxBlur(max(0.5, blur * unit)))
        canvas.put((226, 236, 246), ramp(layer, 0, 255, strength))


def _snowfall(canvas: EditCanvas) -> None:
    """Flakes: many small ones far away, a few large ones out of focus."""
    rng, unit, width, height = canvas.rng, canvas.unit, canvas.width, canvas.height
    for count, size, blur in ((620, 0.0016, 0.0006), (190, 0.0034, 0.0009), (34, 0.0095, 0.005)):
        layer = Image.new("L", (width, height))
        pen = ImageDraw.Draw(layer)
        for _ in range(round(count * width * height / unit**2)):
            x, y = rng.uniform(0, width), rng.uniform(0, height)
            radius = max(0.8, unit * size * rng.uniform(0.6, 1.3))
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        far = blur < 0.004
        layer = layer.filter(ImageFilter.BoxBlur(blur * unit)) if far else soft(layer, blur * unit)
        canvas.put((255, 255, 255), layer)


WEATHER = (
    Effect(on("fog foggy mist misty haze hazy"), _fog),
    Effect(on("rain rainy raining rainfall storm stormy drizzle shower wet"), _rain),
    Effect(on(SNOW_WORDS), _snowfall),
)
"""What the words for each weather do."""
