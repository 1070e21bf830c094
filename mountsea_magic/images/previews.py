"""Previews: an image becomes small enough for a notebook that is kept in git."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import sanitize
from ..runtime.daemon_threads import run_in_thread
from ..runtime.limited_process import Result
from .decoding import decode, normalized, orientation
from .decoding_cost import IN_PROCESS_WORK, work_of
from .files import MAX_PIXELS, GeneratedImage, sniff
from .isolation import run_bounded

if TYPE_CHECKING:
    from PIL.Image import Image

PREVIEW_BYTES = 140_000
"""The largest preview, in bytes; base64 makes a third more of it in the notebook."""

MAX_PROFILE_BYTES = 8_000
"""The largest color profile that a preview keeps, in bytes; a larger one is applied instead."""


_REDUCIBLE = frozenset({"L", "LA", "RGB", "RGBA", "CMYK"})
"""The modes whose pixels can be averaged as they are."""


class NoPreview(Exception):
    """A preview of an image can't be made, for whatever reason; its file is as it was received."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What is shown of an image in a notebook.

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


def preview(image: GeneratedImage, longest_px: int, *, png: bool = False) -> Preview:
    """Make what is shown of an image: small enough for a notebook that is kept in git.

    Quality gives way first, then size, until the preview is under `PREVIEW_BYTES`.

    Args:
        image: The original.
        longest_px: The preview's longest side is at most this, in pixels; 0 means the original.
        png: Make a PNG of any number of bytes, for a terminal, which keeps nothing.

    Raises:
        NoPreview: If it can't be made.
        OSError: If the original can't be read.
        KeyboardInterrupt: If interrupted; nothing waits for the decoder then.
    """
    original = image.bytes
    kind = sniff(original[:12])
    if kind is None:
        raise NoPreview("the file is not an image any more")
    work = work_of(original, kind)
    small = longest_px == 0 or max(image.width, image.height) <= longest_px
    light = longest_px == 0 or (
        len(original) <= PREVIEW_BYTES and kind != "webp" and work.amount <= IN_PROCESS_WORK
    )
    as_it_is = small and (kind == "png" if png else light)
    # every browser turns a JPEG upright, but not every one a PNG, Chromium no WebP, and no
    # terminal anything
    if as_it_is and (kind == "jpeg" or not (b"eXIf" in original or b"EXIF" in original)):
        return Preview(f"image/{kind}", original, image.width, image.height)
    arguments = (str(image.path), kind, longest_px, png, as_it_is, MAX_PIXELS)
    try:
        (mimetype, width, height), data = run_in_thread(
            lambda abandoned: run_bounded(_render, *arguments, work=work, abandoned=abandoned)
        )
    except OSError:
        raise
    except Exception as error:  # decoders, encoders and color engines are the code of others
        raise NoPreview(sanitize(error, limit=120) or type(error).__name__) from error
    return Preview(mimetype, data, width, height)


def _render(
    path: str, kind: str, longest_px: int, png: bool, as_it_is: bool, max_pixels: int
) -> Result:
    """What `preview` makes, as JSON and bytes: the work of it may be done in another process."""
    original = Path(path).read_bytes()
    image = decode(
        original, max_pixels=max_pixels, draft_px=None if as_it_is else 2 * longest_px or None
    )
    if as_it_is:
        if orientation(image) == 1:
            return [f"image/{kind}", *image.size], original
        png = png or longest_px == 0  # all of the original's pixels
    factor = max(image.size) // (2 * longest_px) if longest_px else 1
    if factor > 1 and image.mode in _REDUCIBLE and "transparency" not in image.info:
        image = image.reduce(factor)  # in time for all that follows to take little memory
    image = normalized(image, ("RGB", "RGBA"), max_profile_bytes=MAX_PROFILE_BYTES)
    as_png = png or image.mode == "RGBA"
    if longest_px:
        image.thumbnail((longest_px, longest_px))
    while True:
        for data in _encodings(image, as_png):
            if png or len(data) <= PREVIEW_BYTES or max(image.size) <= 64:
                mimetype = "image/png" if as_png else "image/jpeg"
                return [mimetype, *image.size], data
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
