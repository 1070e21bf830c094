"""Paints the demo's image for a prompt and a seed, and marks it as a drawing."""

import math
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter

from .canvas import Canvas, seeded_rng
from .layers import grained, gray
from .mark import draw_mark
from .note import draw_note
from .recognition import is_drawn
from .scenes import choose_palette, draw_scene
from .subject import Subject, read_subject

_FINEST = 2.0
"""Pixels drawn per pixel returned, along each side: twice, which is what antialiasing takes."""

_MAX_PIXELS = 8_000_000
"""Pixels drawn at most: larger images are scaled up, so that a class does not wait."""

_ENOUGH = 1.2
"""Below this scale the reduction alone no longer smooths edges, and a filter helps."""


def paint(
    prompt: str, seed: int, width: int, height: int, *, model: str, note: bool = True
) -> Image.Image:
    """Paint an image for a prompt.

    The same arguments always give the same image. The prompt chooses the scene, what is in it
    and its colors; the seed moves everything about. Where the prompt's main noun can't be drawn,
    a note with the prompt lies on the image.

    Args:
        prompt: Any text, also an empty one.
        seed: Which variation to paint.
        width: Width of the image, in pixels.
        height: Height of the image, in pixels.
        model: The model that did not make the image, named in its mark.
        note: Whether to write a prompt whose main noun can't be drawn on the image.

    Returns:
        An RGB image of exactly that size.

    Example:
        >>> paint("a lighthouse at sunset", 7, 640, 480, model="demo").size
        (640, 480)
    """
    taste, rng = seeded_rng("None", prompt), seeded_rng(str(seed), prompt)
    subject = read_subject(prompt)
    palette = choose_palette(subject, taste, rng)
    scale = min(_FINEST, math.sqrt(_MAX_PIXELS / (width * height)))
    canvas = Canvas(max(16, round(width * scale)), max(16, round(height * scale)), rng)
    draw_scene(canvas, subject, palette, taste)
    drawn = canvas.image
    if scale < _ENOUGH:
        drawn = drawn.filter(ImageFilter.SMOOTH)
    # of twice as many pixels the mean of each four is as smooth, in a tenth of the time
    image = drawn.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=1.0)
    image = _finished(image, subject, rng)
    if note and not is_drawn(prompt, subject):
        draw_note(image, rng, prompt, without_letters="a prompt without Latin letters")
    draw_mark(image, model)
    return image


def _finished(image: Image.Image, subject: Subject, rng: Random) -> Image.Image:
    """Add what belongs to the medium: paper, pixels, darker corners, a fine grain."""
    if subject.has("watercolor", "watercolour", "aquarelle", "painting", "painted", "gouache"):
        image = _watercolored(image, rng)
    if subject.has("pixel", "8bit", "voxel", "retro"):
        side = max(2, round(math.sqrt(image.width * image.height) / 110))
        small = (max(1, image.width // side), max(1, image.height // side))
        coarse = image.resize(small, Image.Resampling.BOX).quantize(40).convert("RGB")
        return coarse.resize(image.size, Image.Resampling.NEAREST)
    if subject.has("monochrome", "noir") or (
        subject.has("black") and subject.has("white") and len(subject.tints) == 2
    ):
        image = ImageEnhance.Contrast(image.convert("L").convert("RGB")).enhance(1.12)
    corners = Image.radial_gradient("L").point(
        [255 - round(max(0, v - 90) ** 1.5 / 34) for v in range(256)]
    )
    shade = corners.resize(image.size, Image.Resampling.BICUBIC)
    image = ImageChops.multiply(image, gray(shade))
    return grained(image, rng, 5)


def _watercolored(image: Image.Image, rng: Random) -> Image.Image:
    """Let colors run into flat pools, pale and uneven, with paper showing through."""
    unit = math.sqrt(image.width * image.height)
    work = image
    factor = max(1.0, unit / 760)
    if factor > 1:
        work = image.resize(
            (max(1, round(image.width / factor)), max(1, round(image.height / factor)))
        )
    pooled = work.filter(ImageFilter.MedianFilter(5))
    pooled = ImageEnhance.Color(pooled).enhance(1.25)
    edges = pooled.convert("L").filter(ImageFilter.GaussianBlur(1.2)).filter(ImageFilter.FIND_EDGES)
    edges = edges.point([255 - min(70, v * 2) for v in range(256)]).filter(ImageFilter.SMOOTH)
    ImageDraw.Draw(edges).rectangle((0, 0, work.width - 1, work.height - 1), outline=255, width=5)
    pooled = ImageChops.multiply(pooled, gray(edges))
    canvas = Canvas(work.width, work.height, rng)
    bloom = canvas.noise(5, 5).point([round(v * 0.34) for v in range(256)])
    pooled.paste((252, 247, 238), (0, 0), bloom.resize(work.size, Image.Resampling.BICUBIC))
    return grained(pooled.resize(image.size, Image.Resampling.BICUBIC), rng, 12)
