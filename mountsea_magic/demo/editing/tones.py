"""Colors and sharpness of the whole image: neon, lighter, colder, dreamier, sepia, gray."""

from __future__ import annotations

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from ..drawing.layers import graded, gray, ramp, soft, toned
from .edit_canvas import EditCanvas, Effect, on


def _neon(canvas: EditCanvas) -> None:
    """Contours as glowing tubes in the dark."""
    edges = canvas.image.filter(ImageFilter.BoxBlur(1)).filter(ImageFilter.FIND_EDGES)
    ImageDraw.Draw(edges).rectangle((0, 0, edges.width - 1, edges.height - 1), outline=0, width=3)
    tubes = ImageEnhance.Color(ImageEnhance.Brightness(edges).enhance(3.4)).enhance(2.2)
    glow = ImageChops.add(soft(tubes, canvas.unit * 0.009), soft(tubes, canvas.unit * 0.03))
    dark = graded(canvas.image, "#000010 #542582")
    canvas.put(ImageChops.screen(ImageChops.screen(dark, glow), tubes))


def _lighten(canvas: EditCanvas) -> None:
    """More light, in the shadows most."""
    canvas.put(graded(canvas.image, "#0d0d0d #6b6b6b #b8b8b8 #e6e6e6 #ffffff"))


def _darken(canvas: EditCanvas) -> None:
    """Less light, and least in the corners."""
    canvas.put(graded(canvas.image, "#000000 #191919 #3a3a3a #737373 #bdbdbd"))
    canvas.corners(0.4)


def _warm(canvas: EditCanvas) -> None:
    """Towards the colors of fire."""
    canvas.put(graded(canvas.image, "#0a0000 #997d5c #fff2c7"))


def _cool(canvas: EditCanvas) -> None:
    """Towards the colors of ice."""
    canvas.put(graded(canvas.image, "#000514 #5e80a1 #ccf5ff"))


def _strengthen(canvas: EditCanvas) -> None:
    """Stronger colors, and more between light and dark."""
    canvas.put(ImageEnhance.Contrast(ImageEnhance.Color(canvas.image).enhance(1.9)).enhance(1.22))


def _fade(canvas: EditCanvas) -> None:
    """Weaker colors, and nothing quite black."""
    pale = ImageEnhance.Color(canvas.image).enhance(0.55)
    canvas.put(graded(pale, "#3d3d3d #9e9e9e #f7f7f7"))


def _sharpen(canvas: EditCanvas) -> None:
    """Every contour stressed."""
    canvas.put(canvas.image.filter(ImageFilter.UnsharpMask(canvas.unit * 0.003, 190, 2)))


def _invert(canvas: EditCanvas) -> None:
    """Light for dark, and every color for its opposite."""
    canvas.put(ImageOps.invert(canvas.image))


def _blur(canvas: EditCanvas) -> None:
    """Out of focus."""
    canvas.put(soft(canvas.image, canvas.unit * 0.012))


def _dream(canvas: EditCanvas) -> None:
    """Light that spreads, in pale colors."""
    pale = graded(canvas.image, "#1a1224 #998a99 #fffaff")
    shining = ImageChops.screen(pale, soft(canvas.image, canvas.unit * 0.022))
    canvas.put(Image.blend(pale, shining, 0.5))
    for _ in range(14):
        x, y = canvas.rng.uniform(0, canvas.width), canvas.rng.uniform(0, canvas.height)
        radius = canvas.unit * canvas.rng.uniform(0.03, 0.1)
        canvas.glow(x, y, radius, (255, 250, 240), canvas.rng.uniform(0.3, 0.6))


def _age(canvas: EditCanvas) -> None:
    """An old print: brown, stained, scratched, with a pale border."""
    rng, unit, width, height = canvas.rng, canvas.unit, canvas.width, canvas.height
    light = ImageOps.autocontrast(soft(canvas.image.convert("L"), 2.2), cutoff=1)
    canvas.put(toned(light, "#2e1c10 #a07a4c #f3e3c0"))
    canvas.corners(0.45)
    canvas.put((236, 214, 168), ramp(canvas.texture(2.2, 5), 150, 255, 0.37))
    canvas.grain(16)
    for _ in range(26):
        x, y, long = rng.uniform(0, width), rng.uniform(0, height), unit * rng.uniform(0.01, 0.09)
        scratch = (250, 240, 214, rng.randrange(40, 130))
        canvas.draw.line((x, y, x + rng.uniform(-0.2, 0.2) * long, y + long), scratch)
    canvas.draw.rectangle(
        (0, 0, width - 1, height - 1), outline=(240, 229, 203), width=max(1, round(unit * 0.028))
    )


def _gray(canvas: EditCanvas) -> None:
    """Silver on paper."""
    light = ImageOps.autocontrast(canvas.image.convert("L"), cutoff=1)
    canvas.put(gray(ImageEnhance.Contrast(light).enhance(1.08)))
    canvas.corners(0.3)
    canvas.grain(10)


TONES = (
    Effect(on("neon cyberpunk glowing synthwave vaporwave tron"), _neon),
    Effect(on("bright brighter brighten lighter lighten", "more light"), _lighten),
    Effect(on("darker darken gloomy moody scary spooky gothic"), _darken),
    Effect(on("warm warmer cozy cosy"), _warm),
    Effect(on("cold colder cool cooler chilly"), _cool),
    Effect(on("vivid vibrant colorful colourful saturated contrast dramatic punchy"), _strengthen),
    Effect(on("pale paler faded muted desaturated soft softer"), _fade),
    Effect(on("sharp sharper sharpen crisp"), _sharpen),
    Effect(on("invert inverted negative", "x ray"), _invert),
    Effect(on("blur blurry blurred unfocused"), _blur),
    Effect(on("dream dreamy dreamlike magic magical romantic fairytale", "fairy tale"), _dream),
    Effect(on("sepia vintage antique aged victorian", "old photo", "old photograph"), _age),
    Effect(on("monochrome grayscale greyscale gray grey noir", "black and white"), _gray),
)
"""What the words for each tone do."""
