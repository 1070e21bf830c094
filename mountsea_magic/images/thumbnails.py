"""Thumbnails: images of any kind as opaque sRGB pixels, fitted into a box."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from ..runtime.daemon_threads import run_in_thread
from ..runtime.limited_process import Result
from ..runtime.private_files import read_regular
from ..runtime.text import sanitize
from .decoding import UndefinedRange, decode
from .decoding_cost import Work, work_of
from .files import MAX_BYTES, MAX_PIXELS
from .formats import sniff
from .isolation import run_bounded
from .previews import NoPreview, reduced

if TYPE_CHECKING:
    from PIL.Image import Image

Size: TypeAlias = tuple[int, int]
"""Width and height in pixels."""

_CHECKS = ((255, 255, 255), (226, 226, 226))
"""The colors of the checkerboard behind transparent images."""


def thumbnail(source: Path | Image, box: Size) -> Image:
    """Fit a whole image into a box, upright and undistorted, enlarged if it is smaller.

    A file is decoded within the limits of `files`, as for a preview.

    Args:
        source: An image file, or a Pillow image, which is not modified.
        box: The width and height to fit into, in pixels.

    Returns:
        An RGB image in sRGB that has the width or the height of the box; transparency is shown as
        a checkerboard.

    Raises:
        NoPreview: If the file is gone or damaged, or the image can't be converted.
        KeyboardInterrupt: If interrupted; the decoder is abandoned.

    Example:
        >>> from PIL import Image
        >>> thumbnail(Image.new("L", (1600, 900)), (320, 320)).size
        (320, 180)
    """
    try:
        if isinstance(source, Path):
            return _on_checkerboard(run_in_thread(lambda abandoned: _read(source, box, abandoned)))
        return _on_checkerboard(_fitted(source, box))
    except FileNotFoundError as error:
        raise NoPreview("the file is gone") from error
    except UndefinedRange as error:
        raise NoPreview(f"an image {error} has no defined black and white") from error
    except Exception as error:  # third-party decoders raise anything
        reason = getattr(error, "strerror", None) or error
        raise NoPreview(sanitize(reason, limit=120) or type(error).__name__) from error


def fitting_size(size: Size, box: Size) -> Size:
    """Return the largest size of the same aspect ratio within a box, at least 1×1.

    Args:
        size: The size in pixels.
        box: The box in pixels.

    Example:
        >>> fitting_size((1600, 900), (320, 320))
        (320, 180)
    """
    factor = min(box[0] / size[0], box[1] / size[1])
    width, height = (max(1, round(side * factor)) for side in size)
    return width, height


def _read(path: Path, box: Size, abandoned: threading.Event) -> Image:
    from PIL import Image

    content = read_regular(path, MAX_BYTES)
    kind = sniff(content[:12])
    work = work_of(content, kind) if kind is not None else Work(0, 0)
    del content  # free the memory while waiting for a turn
    arguments = (str(path), kind, *box, MAX_PIXELS)
    (mode, *size), pixels = run_bounded(_decoded, *arguments, work=work, abandoned=abandoned)
    return Image.frombytes(mode, cast("Size", tuple(size)), pixels)


def _decoded(path: str, kind: str | None, width: int, height: int, max_pixels: int) -> Result:
    """Return the mode, the size and the pixels, since it may run in a subprocess."""
    image = decode(
        Path(path).read_bytes(),
        max_pixels=max_pixels,
        formats=(kind,) if kind is not None else None,
        draft_px=2 * max(width, height),
    )
    image = _fitted(image, (width, height))
    return [image.mode, *image.size], image.tobytes()


def _fitted(image: Image, box: Size) -> Image:
    """Normalize and resize to RGB or RGBA; a color profile is applied."""
    from PIL.Image import Resampling

    if 0 in image.size:
        raise ValueError("the image has no pixels")
    image = reduced(image, max(box), max_profile_bytes=0)
    return image.resize(fitting_size(image.size, box), Resampling.LANCZOS, reducing_gap=2.0)


def _on_checkerboard(image: Image) -> Image:
    """Make transparency visible; squares of eight pixels."""
    from PIL import Image

    if image.mode == "RGB":
        return image
    white, grey = _CHECKS
    board = Image.new("RGB", image.size, white)
    for top in range(0, image.height, 8):
        for left in range(top % 16, image.width, 16):
            board.paste(grey, (left, top, left + 8, top + 8))
    board.paste(image, (0, 0), image)
    return board
