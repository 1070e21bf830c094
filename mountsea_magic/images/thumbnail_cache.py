"""The cache of thumbnails, small enough for hundreds in a notebook.

It is one folder, which all kernels share; a file's name is the SHA-256 digest of the image. A
thumbnail that is missing or damaged is made again, and no error of the folder is raised.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import time
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.private_files import private_folder, read_regular, write_private
from ..runtime.rng import RNG
from .decoding_cost import work_of
from .files import MAX_BYTES, GeneratedImage
from .formats import sniff
from .previews import NoPreview, Preview
from .thumbnails import thumbnail

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL_PX = 96
"""The longest side of a thumbnail, in pixels."""

MAX_THUMBNAIL_BYTES = 6_000
"""The largest thumbnail, in bytes; base64 adds a third in the notebook."""

MIN_THUMBNAIL_BYTES = 600
"""The smallest limit that can be asked for, in bytes: the headers of a JPEG take half of it."""

MAX_KEPT = 10_000
"""The maximum number of files; at 6,000 bytes each they take 60 MB at most."""

_PRUNE_INTERVAL = 200
"""After about how many new files the folder is pruned: to list it takes some milliseconds."""

_ABANDONED_S = 3600.0
"""After how many seconds a temporary file belongs to a process that was killed."""

_QUALITIES = (80, 65, 50, 35, 20)

_CHECKSUM_BYTES = 4


def cached_thumbnail(
    image: GeneratedImage, folder: Path, *, max_bytes: int = MAX_THUMBNAIL_BYTES
) -> Preview:
    """Return the thumbnail of an image, from the folder or made now, and then stored there.

    Args:
        image: The image.
        folder: The folder of the thumbnails, `Settings.thumbnails`; it is created if needed. If it
            can't be used, the thumbnail is made each time.
        max_bytes: The limit in bytes, at least `MIN_THUMBNAIL_BYTES`: first the quality is reduced,
            then the size.

    Returns:
        A JPEG or WebP, whichever is smaller; its longest side is 96 pixels or, to keep the limit,
        less. Transparency is shown as a checkerboard. Whether the original is still there is only
        noticed if the thumbnail is not in the folder.

    Raises:
        NoPreview: If the image's file is gone, was changed, or can't be decoded.
        KeyboardInterrupt: If interrupted; the decoder is abandoned.

    Example:
        >>> cached_thumbnail(dog[0], settings.thumbnails).mimetype  # doctest: +SKIP
        'image/webp'
    """
    cached = find_cached_thumbnail(image, folder, max_bytes=max_bytes)
    if cached is not None:
        return cached
    whole = find_cached_thumbnail(image, folder)
    if whole is None:
        whole = _encoded(_decoded(image), MAX_THUMBNAIL_BYTES)
        _keep(image, folder, MAX_THUMBNAIL_BYTES, whole)
    if len(whole.data) <= max_bytes:
        return whole
    smaller = _encoded(_pixels(whole), max_bytes)
    _keep(image, folder, max_bytes, smaller)
    return smaller


def find_cached_thumbnail(
    image: GeneratedImage, folder: Path, *, max_bytes: int = MAX_THUMBNAIL_BYTES
) -> Preview | None:
    """Return the thumbnail of an image if it is in the folder and undamaged; this takes 0.1 ms.

    Args:
        image: The image.
        folder: The folder of the thumbnails.
        max_bytes: The limit in bytes.
    """
    for limit in dict.fromkeys((MAX_THUMBNAIL_BYTES, max_bytes)):
        path = _path(image, folder, limit)
        cached = None if path is None else _read(path)
        if cached is not None and len(cached.data) <= max_bytes:
            return cached
    return None


def _decoded(image: GeneratedImage) -> Image:
    """Decode the original and reduce it; a tampered journal must not show some other file."""
    try:
        intact = hashlib.sha256(read_regular(image.path, MAX_BYTES)).hexdigest() == image.sha256
    except FileNotFoundError as error:
        raise NoPreview("the file is gone") from error
    except (OSError, ValueError) as error:
        raise NoPreview("the file can't be read") from error
    if not intact:
        raise NoPreview("the file was changed")
    return thumbnail(image.path, (THUMBNAIL_PX, THUMBNAIL_PX))


def _encoded(pixels: Image, max_bytes: int) -> Preview:
    """Reduce the quality, then the size, until the limit is kept."""
    while True:
        for quality in _QUALITIES:
            encodings = [_encode(pixels, kind, quality) for kind in _kinds()]
            mimetype, data = min(encodings, key=lambda encoding: len(encoding[1]))
            if len(data) <= max_bytes or max(pixels.size) == 1:
                return Preview(mimetype, data, *pixels.size)
        pixels = pixels.resize((max(1, pixels.width * 2 // 3), max(1, pixels.height * 2 // 3)))


def _encode(pixels: Image, kind: str, quality: int) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    if kind == "webp":
        pixels.save(buffer, "WEBP", quality=quality, method=2)
    else:
        pixels.save(buffer, "JPEG", quality=quality, optimize=True)
    return f"image/{kind}", buffer.getvalue()


@cache
def _kinds() -> tuple[str, ...]:
    """The formats that this Pillow can write; some are built without WebP."""
    from PIL import features

    return ("webp", "jpeg") if features.check("webp") else ("jpeg",)


def _pixels(cached: Preview) -> Image:
    """Decode a thumbnail of ours."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(cached.data), formats=("WEBP", "JPEG")) as image:
            return image.convert("RGB")
    except Exception as error:  # decoders raise anything
        raise NoPreview("the thumbnail can't be decoded") from error


def _path(image: GeneratedImage, folder: Path, max_bytes: int) -> Path | None:
    """The file of a thumbnail, or None if the digest, which becomes its name, is invalid."""
    if re.fullmatch("[0-9a-f]{64}", image.sha256) is None:
        return None
    suffix = "" if max_bytes == MAX_THUMBNAIL_BYTES else f"-{max_bytes}"
    return folder / f"{image.sha256}{suffix}"


def _read(path: Path) -> Preview | None:
    """Read a thumbnail, or return None if it is not there or damaged."""
    try:
        content = read_regular(path, MAX_THUMBNAIL_BYTES + _CHECKSUM_BYTES)
    except (OSError, ValueError):
        return None
    data, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    kind = sniff(data[:12])
    if kind not in ("webp", "jpeg") or zlib.crc32(data).to_bytes(_CHECKSUM_BYTES) != checksum:
        return None
    work = work_of(data, kind)
    fits = 0 < work.width <= THUMBNAIL_PX and 0 < work.height <= THUMBNAIL_PX
    return Preview(f"image/{kind}", data, work.width, work.height) if fits else None


def _keep(image: GeneratedImage, folder: Path, max_bytes: int, made: Preview) -> None:
    """Write a thumbnail with its checksum, which image viewers ignore; prune now and then."""
    path = _path(image, folder, max_bytes)
    if path is None:
        return
    with suppress(OSError):
        private_folder(folder, ours=True)
        checksum = zlib.crc32(made.data).to_bytes(_CHECKSUM_BYTES)
        write_private(path, made.data + checksum, durable=False)
        if RNG.random() * _PRUNE_INTERVAL < 1:
            prune(folder)


def prune(folder: Path, *, max_files: int = MAX_KEPT) -> None:
    """Delete the oldest thumbnails if there are too many, and what killed processes have left.

    Args:
        folder: The folder of the thumbnails.
        max_files: How many may stay. If there are more, nine tenths of this number stay.

    Raises:
        OSError: If the folder can't be read.
    """
    cached: list[tuple[float, str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # another kernel may prune, too
                modified = entry.stat(follow_symlinks=False).st_mtime
                if not entry.name.startswith("."):
                    cached.append((modified, entry.path))
                elif time.time() - modified > _ABANDONED_S:
                    os.unlink(entry.path)
    if len(cached) <= max_files:
        return
    for _, path in sorted(cached)[: len(cached) - max_files * 9 // 10]:
        with suppress(OSError):
            os.unlink(path)
