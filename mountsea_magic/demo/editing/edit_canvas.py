"""The image that an edit works on, with what the effects ask of it: its sky, noise, grades."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from random import Random

from PIL import Image, ImageChops, ImageFilter

from ..drawing.canvas import Canvas
from ..drawing.palettes import Color, color, mix
from .skyline import find_sky

WORD = r"[^\W_]+"
"""What counts as a word of a prompt: letters and digits of any script."""

_SOFT_STEP = 4
"""Blurs are made at a quarter of the size: nobody sees it, and it is 16 times cheaper."""

_GRAIN_SIDE = 256
"""Side of the tile of grain, in pixels: too large to be seen repeating."""


class EditCanvas(Canvas):
    """An image under way: a canvas that starts with something on it.

    Attributes:
        first: The image as it was when the sheet was made.
        wishes: What is to be done with it: see `normal`.
    """

    def __init__(self, image: Image.Image, wishes: str, rng: Random) -> None:
        """Lay an image down.

        Args:
            image: The image, RGB; it is not changed.
            wishes: What is to be done with it.
            rng: Where all chance comes from.

        Example:
            >>> sheet = EditCanvas(image, "make it winter", Random(1))
        """
        super().__init__(image.width, image.height, rng)
        self.first = image
        self.wishes = normal(wishes)
        self.put(image)

    @cached_property
    def sky(self) -> Image.Image | None:
        """Where the sky was at first, as an "L" mask, or None where none was found."""
        return find_sky(self.first)

    def asks(self, words: str, *phrases: str) -> bool:
        """Say whether the wishes have one of these in them: see `on`.

        Example:
            >>> sheet.asks("snow winter", "old photo")
            False
        """
        return on(words, *phrases)(self)

    def put(self, layer: Image.Image | Color, mask: Image.Image | None = None) -> None:
        """Lay something over the image.

        Args:
            layer: An image of the same size, or a colour.
            mask: How much of it goes where, "L" and of the same size; all of it if left out.

        Example:
            >>> sheet.put((255, 255, 255), sheet.texture(3, 4))
        """
        if isinstance(layer, Image.Image):
            self.image.paste(layer, (0, 0), mask)
        else:
            self.image.paste(layer, (0, 0, self.width, self.height), mask)

    def texture(self, across: float, octaves: int, flat: float = 1.0) -> Image.Image:
        """Make cloudy noise of the image's size.

        Args:
            across: How many billows fit in one unit; more is finer.
            octaves: How many finer layers are added.
            flat: How many times wider than high a billow is.

        Returns:
            An "L" image with the full range 0 to 255.

        Example:
            >>> stains = sheet.texture(2, 5)
        """
        rough = self.noise(across, octaves, flat)
        return rough.resize(self.image.size, Image.Resampling.BICUBIC)

    def grain(self, strength: int) -> None:
        """Lay a fine grain over the image.

        Args:
            strength: How far a pixel moves at most, in levels.

        Example:
            >>> sheet.grain(8)
        """
        side = _GRAIN_SIDE
        raw = Image.frombytes("L", (side, side), self.rng.randbytes(side * side))
        tile = raw.point([128 + round((v - 127.5) / 127.5 * strength) for v in range(256)])
        layer = Image.new("L", self.image.size)
        for left in range(0, self.width, side):
            for top in range(0, self.height, side):
                layer.paste(tile, (left, top))
        self.put(ImageChops.add(self.image, gray(layer), 1, -128))

    def corners(self, strength: float) -> None:
        """Darken the corners, as old lenses do.

        Args:
            strength: How dark the very corner becomes, 0 to 1.

        Example:
            >>> sheet.corners(0.4)
        """
        fade = Image.radial_gradient("L").point(
            [round(255 * (1 - strength * (max(0, v - 100) / 155) ** 1.4)) for v in range(256)]
        )
        fade = fade.resize(self.image.size, Image.Resampling.BICUBIC)
        self.put(ImageChops.multiply(self.image, gray(fade)))


@dataclass(frozen=True)
class Effect:
    """One thing that can be done with an image.

    Attributes:
        wanted: Whether it is asked for.
        apply: Does it.
    """

    wanted: Callable[[EditCanvas], bool]
    apply: Callable[[EditCanvas], None]


def normal(text: str) -> str:
    """Return a text's words in lower case, without a plural s, with a space around each.

    Example:
        >>> normal("Snowy Roofs, please!")
        ' snowy roof please '
    """
    words = re.findall(WORD, text.casefold())
    singular = (
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        for word in words
    )
    return f" {' '.join(singular)} "


def on(words: str, *phrases: str) -> Callable[[EditCanvas], bool]:
    """Make the condition that a sheet's wishes have one of these in them.

    Args:
        words: Words, with spaces between them.
        phrases: What takes several words to say.

    Example:
        >>> sheet = EditCanvas(Image.new("RGB", (64, 48)), "like in old photos", Random(1))
        >>> on("sepia", "old photo")(sheet), on("sepia photograph")(sheet)
        (True, False)
    """
    spaced = tuple(normal(phrase) for phrase in (*words.split(), *phrases))
    return lambda sheet: any(phrase in sheet.wishes for phrase in spaced)


def gray(layer: Image.Image) -> Image.Image:
    """Make a gray RGB image of an "L" one.

    Example:
        >>> gray(Image.new("L", (1, 1), 7)).getpixel((0, 0))
        (7, 7, 7)
    """
    return Image.merge("RGB", (layer, layer, layer))


def soft(image: Image.Image, radius: float) -> Image.Image:
    """Blur an image fast.

    Args:
        image: The image, "RGB" or "L".
        radius: In pixels; about 2 at least.

    Returns:
        A new image.

    Example:
        >>> hazy = soft(sheet.image, 12)
    """
    small = image.reduce(_SOFT_STEP).filter(ImageFilter.GaussianBlur(radius / _SOFT_STEP))
    return small.resize(image.size, Image.Resampling.BICUBIC)


def ramp(mask: Image.Image, low: float, high: float, top: float = 1.0) -> Image.Image:
    """Spread a part of a mask's levels over the whole range.

    Args:
        mask: An "L" image.
        low: The level, 0 to 255, that becomes 0; so does all before it.
        high: The level that becomes the highest; so does all after it. It may be below `low`.
        top: How opaque the highest is, 0 to 1.

    Returns:
        A new "L" image.

    Example:
        >>> [ramp(Image.new("L", (1, 1), v), 200, 100).getpixel((0, 0)) for v in (90, 150, 210)]
        [255, 128, 0]
    """
    shares = (max(0.0, min(1.0, (v - low) / (high - low))) for v in range(256))
    return mask.point([round(share * top * 255) for share in shares])


def graded(image: Image.Image, tones: str) -> Image.Image:
    """Bend the colours of an image.

    Args:
        image: The image, RGB.
        tones: What black, white and the grays between them become, evenly spaced: colours as on
            the web.

    Returns:
        A new image.

    Example:
        >>> graded(Image.new("RGB", (1, 1), (9, 8, 7)), "#000020 #ffff20").getpixel((0, 0))
        (9, 8, 32)
    """
    stops = [color(code) for code in tones.split()]
    stops.append(stops[-1])
    levels = []
    for v in range(256):
        place = v / 255 * (len(stops) - 2)
        levels.append(mix(stops[int(place)], stops[int(place) + 1], place % 1))
    return image.point([level[band] for band in range(3) for level in levels])


def toned(light: Image.Image, tones: str) -> Image.Image:
    """Give each level of light a colour.

    Args:
        light: An "L" image.
        tones: As for `graded`.

    Returns:
        An RGB image.

    Example:
        >>> toned(Image.new("L", (1, 1), 255), "#000000 #ff8000").getpixel((0, 0))
        (255, 128, 0)
    """
    return graded(gray(light), tones)
