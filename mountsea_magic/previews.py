"""Previews: a picture becomes small enough for a notebook that is kept in git."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .decoding import decode, normalized, orientation
from .pictures import MAX_PIXELS, Picture

if TYPE_CHECKING:
    from PIL.Image import Image

PREVIEW_BYTES = 140_000
"""The largest preview, in bytes; base64 makes a third more of it in the notebook."""

MAX_PROFILE_BYTES = 8_000
"""The largest color profile that a preview keeps, in bytes; a larger one is applied instead."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What is shown of a picture in a notebook.

    Attributes:
        mimetype: Such as ``image/jpeg``.
        data: The encoded picture.
        width: In pixels.
        height: In pixels.
    """

    mimetype: str
    data: bytes
    width: int
    height: int


def preview(picture: Picture, longest_px: int, *, png: bool = False) -> Preview:
    """Make what is shown of a picture: small enough for a notebook that is kept in git.

    Quality gives way first, then size, until the preview is under `PREVIEW_BYTES`.

    Args:
        picture: The original.
        longest_px: The preview's longest side is at most this, in pixels; 0 means the original.
        png: Make a PNG of any number of bytes, for a terminal, which keeps nothing.
    """
    original = picture.bytes
    small = longest_px == 0 or max(picture.width, picture.height) <= longest_px
    light = longest_px == 0 or (len(original) <= PREVIEW_BYTES and picture.format != "webp")
    if small and (picture.format == "png" if png else light):
        # every browser turns a JPEG upright, but not every one a PNG, Chromium no WebP, and no
        # terminal anything
        told = picture.format == "jpeg" or not (b"eXIf" in original or b"EXIF" in original)
        if told or orientation(decode(original, max_pixels=MAX_PIXELS)) == 1:
            return Preview(picture.mimetype, original, picture.width, picture.height)
        png = png or longest_px == 0  # all of the original's pixels
    image = normalized(
        decode(original, max_pixels=MAX_PIXELS),
        ("RGB", "RGBA"),
        max_profile_bytes=MAX_PROFILE_BYTES,
    )
    as_png = png or image.mode == "RGBA"
    if longest_px:
        image.thumbnail((longest_px, longest_px))
    while True:
        for data in _encodings(image, as_png):
            if png or len(data) <= PREVIEW_BYTES or max(image.size) <= 64:
                mimetype = "image/png" if as_png else "image/jpeg"
                return Preview(mimetype, data, image.width, image.height)
        image.thumbnail((int(image.width * 0.85), int(image.height * 0.85)))


def _encodings(image: Image, as_png: bool) -> Iterator[bytes]:
    """Quality gives way step by step, but PNG, needed for transparency, has none to give."""
    profile = image.info.get("icc_profile")
    for quality in (0,) if as_png else (85, 75, 65, 55):
        buffer = io.BytesIO()
        if as_png:
            image.save(buffer, "PNG", optimize=True, icc_profile=profile)
        else:
            image.save(buffer, "JPEG", quality=quality, optimize=True, icc_profile=profile)
        yield buffer.getvalue()
