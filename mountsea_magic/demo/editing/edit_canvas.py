"""The image that an edit works on, with what effects need: its sky, noise, color grades."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from random import Random

from PIL import Image, ImageChops

from ..drawing.canvas import Canvas
from ..drawing.layers import grained, gray
from ..drawing.palettes import Color
from ..drawing.words import without_s, words_of
from .skyline import find_sky


class EditCanvas(Canvas):
    """The image being edited: a canvas that starts with an image on it.

    Attributes:
        first: The image as it was when the canvas was created.
        instructions: What is to be done with it: see `normal`.
    """

    def __init__(self, image: Image.Image, instructions: str, rng: Random) -> None:
        super().__init__(image.width, image.height, rng)
        self.first = image
        self.instructions = normal(instructions)
        self.put(image)

    @cached_property
    def sky(self) -> Image.Image | None:
        """Where the sky was at first, as an "L" mask, or None where none was found."""
        return find_sky(self.first)

    def asks(self, words: str, *phrases: str) -> bool:
        """Return whether the instructions contain one of these: see `on`."""
        return on(words, *phrases)(self)

    def put(self, layer: Image.Image | Color, mask: Image.Image | None = None) -> None:
        """Lay an image of the same size or a color over the image, where an "L" mask allows."""
        if isinstance(layer, Image.Image):
            self.image.paste(layer, (0, 0), mask)
        else:
            self.image.paste(layer, (0, 0, self.width, self.height), mask)

    def texture(self, across: float, octaves: int, flat: float = 1.0) -> Image.Image:
        """Make cloudy noise of the image's size: see `Canvas.noise`."""
        rough = self.noise(across, octaves, flat)
        return rough.resize(self.image.size, Image.Resampling.BICUBIC)

    def grain(self, strength: int) -> None:
        """Lay a fine grain over the image: see `grained`."""
        self.put(grained(self.image, self.rng, strength))

    def corners(self, strength: float) -> None:
        """Darken the corners, as old lenses do, by up to 1 (black)."""
        fade = Image.radial_gradient("L").point(
            [round(255 * (1 - strength * (max(0, v - 100) / 155) ** 1.4)) for v in range(256)]
        )
        fade = fade.resize(self.image.size, Image.Resampling.BICUBIC)
        self.put(ImageChops.multiply(self.image, gray(fade)))


@dataclass(frozen=True)
class Effect:
    """One effect that can be applied to an image.

    Attributes:
        wanted: Whether it is asked for.
        apply: Does it.
    """

    wanted: Callable[[EditCanvas], bool]
    apply: Callable[[EditCanvas], None]


def normal(text: str) -> str:
    """Return a text's words in lower case, without a plural s, with a space around each."""
    return f" {' '.join(without_s(word) for word in words_of(text))} "


def on(words: str, *phrases: str) -> Callable[[EditCanvas], bool]:
    """Make the condition that a canvas's instructions contain one of these."""
    spaced = tuple(normal(phrase) for phrase in (*words.split(), *phrases))
    return lambda canvas: any(phrase in canvas.instructions for phrase in spaced)
