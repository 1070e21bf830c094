"""The editor: what the demo Hub makes of images and a prompt in place of a model."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from random import Random

from PIL import Image, ImageFilter, ImageOps

from ...images.decoding import normalized
from ..drawing.canvas import Canvas, seeded_rng
from ..drawing.creatures import draw_creatures
from ..drawing.layers import graded
from ..drawing.mark import draw_mark
from ..drawing.palettes import MOODS
from ..drawing.subject import read_subject
from ..drawing.words import COLORS, words_of
from .edit_canvas import EditCanvas, Effect, normal
from .effects import MEDIUM, WORLD
from .framing import add_note, lay_prints
from .unmark import lift_mark

_MAX_PIXELS = 4_000_000
"""Pixels worked on at most: larger images are scaled up, so that a class does not wait."""

_CUT = 1.45
"""How far, as a factor, an image's shape may be from the frame's for its edges to be cut."""

_NEGATED = re.compile(
    r" (?:no|not|without|remove|never|less)"
    r" (?:(?:the|any|a|an|all|so|too|more|of|its|make|it) )*\w+"
)
"""Negations, which are no instructions: "without the snow", "not too dark"."""

_ADDED = re.compile(
    r" (?:add|put|insert|include|place|another)"
    r"((?: (?!(?:the|on|in|to|onto|into|at|near|beside|behind|under|over|from|for|next) )\w+)+)"
)
"""What is to be added; "the dog" is there already, and what comes after "on" is, too."""


def edit(
    prompt: str,
    seed: int,
    images: Sequence[Image.Image],
    width: int,
    height: int,
    *,
    model: str,
    mask: Image.Image | None = None,
) -> Image.Image:
    """Edit an image as a prompt says.

    The same arguments always give the same image. The words of the prompt
    choose the effects, which are applied one after another; a prompt without a known word changes
    the mood and adds a note.

    Args:
        prompt: Any text, also an empty one.
        seed: Which variation to make.
        images: The input images, of any mode and size; at least one. The first fills the
            frame, the others lie on it like prints.
        width: Width of the result, in pixels.
        height: Height of the result, in pixels.
        model: The model that did not make the image, named in its mark.
        mask: Only where this is white the first image changes; everywhere if left out.

    Returns:
        An RGB image of exactly that size.

    Raises:
        ValueError: If there is no image.

    Example:
        >>> summer = Image.new("RGB", (64, 48), (90, 160, 70))
        >>> edit("Make it winter", 7, [summer], 128, 96, model="demo").size
        (128, 96)
    """
    if not images:
        raise ValueError("there is no image to edit")
    scale = min(1.0, math.sqrt(_MAX_PIXELS / (width * height)))
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    first, *others = (lift_mark(_plain(image)) for image in images)
    base = _fitted(first, size)
    result = _changed(base, others, prompt, seeded_rng(f"edit {seed}", prompt))
    if mask is not None:
        where = _plain(mask).convert("L").resize(first.size)
        result = Image.composite(result, base, _fitted(where, size))
    if size != (width, height):
        result = result.resize((width, height), Image.Resampling.LANCZOS)
    draw_mark(result, model)
    return result


def _changed(
    base: Image.Image, others: Sequence[Image.Image], prompt: str, rng: Random
) -> Image.Image:
    """Apply the edits that the prompt asks for, one after another."""
    instructions = _NEGATED.sub(" ", normal(prompt))
    before = EditCanvas(base, instructions, rng)
    done = _turn(before)
    done |= _add_animals(before, prompt)
    canvas = EditCanvas(before.image, before.instructions, rng)
    done |= _apply(WORLD, canvas)
    lay_prints(canvas, others)
    done |= _apply(MEDIUM, canvas)
    if not done:
        add_note(canvas, prompt)
    return canvas.image


def _apply(effects: Sequence[Effect], canvas: EditCanvas) -> bool:
    """Apply the effects that are asked for; return whether there was one."""
    wanted = [effect for effect in effects if effect.wanted(canvas)]
    for effect in wanted:
        effect.apply(canvas)
    return bool(wanted)


def _plain(image: Image.Image) -> Image.Image:
    """Upright, in sRGB, and white where it was transparent."""
    if image.mode == "I":
        image = image.point(lambda level: level * (1 / 256)).convert("L")
    image = normalized(image, ("RGB", "RGBA"), max_profile_bytes=0)
    if image.mode == "RGBA":
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image).convert("RGB")
    return image


def _fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Fit an image to a size: crop it if the shape is similar, else fill up with a blurred copy."""
    if image.size == size:
        return image.copy()
    cover = ImageOps.fit(image, size, Image.Resampling.LANCZOS, centering=(0.5, 0.45))
    stretch = size[0] / size[1] / (image.width / image.height)
    if 1 / _CUT <= stretch <= _CUT:
        return cover
    ground = Image.new("L", size)
    if image.mode == "RGB":
        hazy = cover.reduce(4).filter(ImageFilter.GaussianBlur(min(size) * 0.015))
        ground = graded(hazy.resize(size), "#000000 #b3b3b3")
    whole = ImageOps.contain(image, size, Image.Resampling.LANCZOS)
    ground.paste(whole, ((size[0] - whole.width) // 2, (size[1] - whole.height) // 2))
    return ground


def _turn(canvas: EditCanvas) -> bool:
    """Mirror, flip or zoom in; return whether the prompt asks for any of it."""
    image = canvas.image
    if canvas.asks("mirror mirrored flip flipped reversed"):
        over = canvas.asks("vertical vertically")
        way = Image.Transpose.FLIP_TOP_BOTTOM if over else Image.Transpose.FLIP_LEFT_RIGHT
        image = image.transpose(way)
    if canvas.asks("", "upside down"):
        image = image.transpose(Image.Transpose.ROTATE_180)
    if canvas.asks("zoom closer closeup", "close up"):
        x, y = canvas.width * 0.16, canvas.height * 0.16
        box = (x, y * 1.2, canvas.width - x, canvas.height - y * 0.8)
        image = image.resize(image.size, Image.Resampling.LANCZOS, box=box)
    if image is canvas.image:
        return False
    canvas.put(image)
    return True


def _add_animals(canvas: EditCanvas, prompt: str) -> bool:
    """Draw the animals that are to be added, if any; their colors are then no instructions."""
    found = _ADDED.search(f" {' '.join(words_of(prompt))} ")
    subject = read_subject(found[1] if found else "")
    if found is None or not subject.creatures:
        return False
    wide = round(canvas.width * 0.58)
    left = canvas.rng.choice((0, canvas.width - wide))
    part = canvas.image.crop((left, 0, left + wide, canvas.height))
    layer = Canvas(part.width * 2, part.height * 2, canvas.rng)
    layer.image.paste(part.resize(layer.image.size, Image.Resampling.NEAREST))
    sky = canvas.sky.getbbox() if canvas.sky else None
    horizon = 2 * (sky[3] if sky else canvas.height * 0.45)
    draw_creatures(layer, subject, MOODS[subject.mood or "day"], 0.93, horizon)
    canvas.image.paste(layer.image.reduce(2), (left, 0))
    uncolored = " ".join(word for word in found[0].split() if word not in COLORS)
    canvas.instructions = canvas.instructions.replace(normal(found[0]), normal(uncolored))
    return True
