"""Make previews: images small enough for a notebook in git."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.daemon_threads import run_in_thread
from ..runtime.limited_process import Result
from ..runtime.text import sanitize
from .decoding import decode, normalized, orientation
from .decoding_cost import IN_PROCESS_WORK, work_of
from .files import MAX_PIXELS, GeneratedImage, sniff
from .isolation import run_bounded

if TYPE_CHECKING:
    from PIL.Image import Image

PREVIEW_BYTES = 140_000
"""The largest preview, in bytes; base64 adds a third in the notebook."""

MAX_PROFILE_BYTES = 8_000
"""The largest color profile that a preview keeps, in bytes; a larger one is applied instead."""


_REDUCIBLE = frozenset({"L", "LA", "RGB", "RGBA", "CMYK"})
"""The modes whose pixels can be averaged without conversion."""


class NoPreview(Exception):
    """The preview can't be made; the original file is unaffected."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The preview of an image, as displayed in a notebook.

    Attributes:
        mimetype: Such as ``image/jpeg``.
        data: The encoded image.
        width: In pixels.
        height: In pixels.
    """

    mimetype: str
    data: bytes
    width: int
    height: int

    @classmethod
    def png_of(cls, image: Image) -> Preview:
        """Encode an image as PNG, for a terminal, which draws no other format."""
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return cls("image/png", buffer.getvalue(), *image.size)

    @property
    def base64(self) -> str:
        """The encoded image in base64, as mimebundles and data URIs have it."""
        return b64encode(self.data).decode("ascii")


def preview(image: GeneratedImage, longest_px: int, *, png: bool = False) -> Preview:
    """Make the preview of an image, small enough for a notebook in git.

    First the quality is reduced, then the size, until the preview is under `PREVIEW_BYTES`.

    Args:
        image: The original.
        longest_px: The maximum of the preview's longest side, in pixels; 0 means the original.
        png: Make a PNG without a size limit, for a terminal, where nothing is saved.

    Returns:
        The preview; the original bytes where they are small enough.

    Raises:
        NoPreview: If it can't be made.
        OSError: If the original can't be read.
        KeyboardInterrupt: If interrupted; the decoder is abandoned.
    """
    original = image.bytes
    kind = sniff(original[:12])
    if kind is None:
        raise NoPreview("the file is no longer an image")
    work = work_of(original, kind)
    fits_size = longest_px == 0 or max(image.width, image.height) <= longest_px
    fits_notebook = longest_px == 0 or (
        len(original) <= PREVIEW_BYTES and kind != "webp" and work.amount <= IN_PROCESS_WORK
    )
    unchanged = fits_size and (kind == "png" if png else fits_notebook)
    # browsers apply the EXIF orientation to JPEG, not all of them to PNG, Chromium not to WebP;
    # terminals never do
    if unchanged and (kind == "jpeg" or not (b"eXIf" in original or b"EXIF" in original)):
        return Preview(f"image/{kind}", original, image.width, image.height)
    del original  # free the memory while waiting for a turn
    arguments = (str(image.path), kind, longest_px, png, unchanged, MAX_PIXELS)
    try:
        (mimetype, width, height), data = run_in_thread(
            lambda abandoned: run_bounded(_render, *arguments, work=work, abandoned=abandoned)
        )
    except OSError:
        raise
    except Exception as error:  # third-party decoders and encoders raise anything
        raise NoPreview(sanitize(error, limit=120) or type(error).__name__) from error
    return Preview(mimetype, data, width, height)


def _render(
    path: str, kind: str, longest_px: int, png: bool, unchanged: bool, max_pixels: int
) -> Result:
    """Render a preview; returns JSON values and bytes, since it may run in a subprocess."""
    original = Path(path).read_bytes()
    image = decode(
        original, max_pixels=max_pixels, draft_px=None if unchanged else 2 * longest_px or None
    )
    if unchanged:
        if orientation(image) == 1:
            return [f"image/{kind}", *image.size], original
        png = png or longest_px == 0  # lossless
    del original  # free the memory before more is needed
    image = reduced(image, longest_px, max_profile_bytes=MAX_PROFILE_BYTES)
    as_png = png or image.mode == "RGBA"
    if longest_px:
        image.thumbnail((longest_px, longest_px))
    while True:
        for data in encodings(image, as_png):
            if png or len(data) <= PREVIEW_BYTES or max(image.size) <= 64:
                mimetype = "image/png" if as_png else "image/jpeg"
                return [mimetype, *image.size], data
        image.thumbnail((int(image.width * 0.85), int(image.height * 0.85)))


def reduced(image: Image, longest_px: int, *, max_profile_bytes: int) -> Image:
    """Normalize an image to RGB or RGBA, at first reduced to save memory.

    Args:
        image: Any image.
        longest_px: How long the longest side must remain, in pixels; 0 for no reduction.
        max_profile_bytes: As for `normalized`.

    Returns:
        The image, upright; its longest side is at least twice `longest_px`, if it was.

    Raises:
        UndefinedRange: If the range of its sample values is undefined.
    """
    factor = max(image.size) // (2 * longest_px) if longest_px else 1
    if factor > 1 and image.mode in _REDUCIBLE and "transparency" not in image.info:
        image = image.reduce(factor)
    return normalized(image, ("RGB", "RGBA"), max_profile_bytes=max_profile_bytes)


def encodings(image: Image, as_png: bool) -> Iterator[bytes]:
    """Yield encodings of decreasing quality; one for PNG, which is lossless.

    Args:
        image: An RGB image, or an RGBA image for PNG.
        as_png: Encode as PNG instead of JPEG.
    """
    profile = image.info.get("icc_profile")
    for quality in (0,) if as_png else (85, 75, 65, 55):
        buffer = io.BytesIO()
        if as_png:
            image.save(buffer, "PNG", optimize=True, icc_profile=profile)
        else:
            image.save(buffer, "JPEG", quality=quality, optimize=True, icc_profile=profile)
        yield buffer.getvalue()
