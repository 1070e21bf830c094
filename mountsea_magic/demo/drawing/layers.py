"""Operations on a whole image: blurs, levels, color grades, grain."""

from random import Random

from PIL import Image, ImageChops, ImageFilter

from .palettes import color, mix

_SOFT_STEP = 4
"""Blurs are made at a quarter of the size: looks the same, 16 times cheaper."""

_GRAIN_SIDE = 256
"""Side of the tile of grain, in pixels: too large to be seen repeating."""


def gray(layer: Image.Image) -> Image.Image:
    """Make a gray RGB image of an "L" one."""
    return Image.merge("RGB", (layer, layer, layer))


def soft(image: Image.Image, radius: float) -> Image.Image:
    """Blur an image fast, by a radius of about 2 pixels at least."""
    small = image.reduce(_SOFT_STEP).filter(ImageFilter.GaussianBlur(radius / _SOFT_STEP))
    return small.resize(image.size, Image.Resampling.BICUBIC)


def ramp(mask: Image.Image, low: float, high: float, top: float = 1.0) -> Image.Image:
    """Spread the levels between low and high (either may be larger) from 0 to `top` (1: 255)."""
    shares = (max(0.0, min(1.0, (v - low) / (high - low))) for v in range(256))
    return mask.point([round(share * top * 255) for share in shares])


def graded(image: Image.Image, tones: str) -> Image.Image:
    """Bend colors: `tones` is what black, white and evenly spaced grays between them become."""
    stops = [color(code) for code in tones.split()]
    stops.append(stops[-1])
    levels = []
    for v in range(256):
        place = v / 255 * (len(stops) - 2)
        levels.append(mix(stops[int(place)], stops[int(place) + 1], place % 1))
    return image.point([level[band] for band in range(3) for level in levels])


def toned(light: Image.Image, tones: str) -> Image.Image:
    """Give each level of an "L" image a color: see `graded`."""
    return graded(gray(light), tones)


def grained(image: Image.Image, rng: Random, strength: int) -> Image.Image:
    """Lay a fine grain over an image, by up to `strength` levels: it hides gradient steps."""
    raw = Image.frombytes("L", (_GRAIN_SIDE, _GRAIN_SIDE), rng.randbytes(_GRAIN_SIDE**2))
    tile = raw.point([128 + round((v - 127.5) / 127.5 * strength) for v in range(256)])
    layer = Image.new("L", image.size)
    for left in range(0, image.width, _GRAIN_SIDE):
        for top in range(0, image.height, _GRAIN_SIDE):
            layer.paste(tile, (left, top))
    return ImageChops.add(image, gray(layer), 1, -128)
