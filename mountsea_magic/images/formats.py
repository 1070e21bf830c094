"""Image files by their bytes: the format, where the image ends, what else is in the file."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping

_PNG_KEPT = frozenset({b"tRNS", b"gAMA", b"sRGB", b"iCCP", b"eXIf"})
"""The ancillary chunks that change what is displayed; texts and animations are not among them."""

_PNG_CRITICAL = frozenset({b"IHDR", b"PLTE"})
"""Beside the pixels and the end; Pillow ignores what else is written in capitals."""

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"

_MAX_PARTS = 500_000
"""How many chunks or segments are read: more of them would only be there to keep us busy."""

_MAX_PIXEL_CHUNKS = 10_000
"""With more chunks of pixels a PNG is rewritten; libpng writes 8,192 for 64 MiB."""

_MAX_SEGMENTS = 50_000
"""The same of a JPEG, of which Pillow reads each in Python; scans and tables are some hundred."""

_MAX_WEBP_PARTS = 20_000
"""The same of a WebP, whose decoder keeps a record of each frame."""

_MAX_PROFILE_BYTES = 1024 * 1024
"""The largest color profile that Pillow unpacks from a PNG, in bytes."""

_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
"""The markers that a length follows, and the end's; the others stand alone, or within data."""

_JPEG_KEPT = {0xE1: b"Exif\0", 0xE2: b"ICC_PROFILE\0"}
"""Of these segments only those that begin so change what is displayed."""

_JPEG_DROPPED = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})
"""Metadata and comments; APP0 and APP14 say how the colors are to be read."""

_CONVERT = "convert it to JPEG or PNG"
_HEIF = f"{_CONVERT}, or `pip install pillow-heif` and call pillow_heif.register_heif_opener()"
_AVIF = f"{_CONVERT}, or `pip install -U pillow`, which reads it from 11.3 on"

RAW = ("a camera's raw file", _CONVERT)

_SIGNATURES = (
    (rb"....ftyp(?:avi[fs]|.{4,64}?avi[fs])", "an AVIF image", _AVIF),
    (rb"....ftyp(?:hei[cxmsf]|hev[cxms]|mif1|msf1)", "a HEIC image", _HEIF),
    (rb"....ftypcrx |II\*\0.{4}CR|FUJIFILMCCD-RAW", *RAW),
    (rb"IIR[OS]|MMOR|IIU\0|FOVb", *RAW),
    (rb"....(?:ftyp|moov|mdat|wide)|\x1aE\xdf\xa3", "a video", "export a frame of it as PNG"),
    (rb"RIFF....AVI |\0\0\x01[\xba\xb3]|FLV\x01|OggS", "a video", "export a frame of it as PNG"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL image", _CONVERT),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 image", _CONVERT),
    (rb"II[*+]\0|MM\0[*+]", "a TIFF image", _CONVERT),
    (rb"GIF8[79]a", "a GIF image", _CONVERT),
    (rb"BM....\0\0\0\0", "a BMP image", _CONVERT),
    (rb"v/1\x01|#\?RADIANCE|#\?RGBE", "a high dynamic range image", _CONVERT),
    (rb"\x93NUMPY", "a NumPy array", "load it, and give the variable"),
    (rb".{128}DICM", "a DICOM image", _CONVERT),
    (rb"8BPS", "a Photoshop file", _CONVERT),
    (rb".{0,1024}?%PDF-", "a PDF file", "export the page as PNG"),
    (rb"(?i)\s*(?:<!doctype html|<html|<head)", "an HTML page", "download the image itself"),
    (rb"(?i)(?:\xef\xbb\xbf)?\s*<.*<?svg\b", "an SVG drawing", "export it as PNG"),
    (rb"version https://git-lfs", "a Git LFS pointer", "fetch the file with `git lfs pull`"),
    (rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf", "an archive", "unpack it first"),
)
"""What other files begin with, what they are called, and what to do with them."""


def sniff(head: bytes) -> str | None:
    r"""Return an image's format by its first bytes (12 are enough), whatever its headers say.

    Example:
        >>> sniff(b"\x89PNG\r\n\x1a\n....")
        'png'
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return None


def identify(content: bytes) -> tuple[str, str] | None:
    """Name a file that is not a PNG, JPEG or WebP image by its first bytes.

    Args:
        content: The file, or at least its first 2,000 bytes.

    Returns:
        What it is, with its article, and how to make an image of it; None if it is unknown.

    Example:
        >>> identify(b"%PDF-1.7")
        ('a PDF file', 'export the page as PNG')
    """
    head = content[:2000]
    for signature, name, cure in _SIGNATURES:
        if re.match(signature, head, re.DOTALL):
            return name, cure
    return None


def essential(content: bytes, kind: str) -> bytes | None:
    r"""Return an image file without what does not change the displayed image.

    Texts, comments, thumbnails, further frames and what follows the image's end can be large or
    odd, and Pillow refuses whole images for them.

    Args:
        content: The file.
        kind: ``png``, ``jpeg`` or ``webp``.

    Returns:
        The file's essential part, or None if the image's end is missing.

    Example:
        >>> essential(b"\xff\xd8\xff\xfe\0\4hi\xff\xd9 and more", "jpeg")
        b'\xff\xd8\xff\xd9'
    """
    return {"png": _essential_png, "jpeg": _essential_jpeg, "webp": _essential_webp}[kind](content)


def _essential_png(content: bytes) -> bytes | None:
    """Of each kind the first is kept, an ancillary one only if its checksum is right.

    Very many chunks of pixels become one: Pillow takes its time for each, and some have a million.
    """
    before: dict[bytes, bytes] = {}
    after: dict[bytes, bytes] = {}
    pixels: list[bytes] = []
    start = 8
    for _ in range(_MAX_PARTS):
        name = content[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(content[start : start + 4])
        if end > len(content):
            return None
        if name == b"IEND":
            if content[start:end] != _PNG_END:
                return None
            if len(pixels) > _MAX_PIXEL_CHUNKS:
                pixels = [_png_chunk(b"IDAT", b"".join(chunk[8:-4] for chunk in pixels))]
            return b"".join([content[:8], *before.values(), *pixels, *after.values(), _PNG_END])
        if name == b"IDAT":
            pixels.append(content[start:end])
        elif name not in before and name not in after:
            chunk = content[start:end]
            if name in _PNG_CRITICAL or (name in _PNG_KEPT and _is_sound(name, chunk)):
                (after if pixels else before)[name] = chunk
        start = end
    return None


def _png_chunk(name: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(name))
    return len(body).to_bytes(4) + name + body + checksum.to_bytes(4)


def _is_sound(name: bytes, chunk: bytes) -> bool:
    """Whether Pillow can read an ancillary chunk of a PNG."""
    if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
        return False
    if name != b"iCCP":
        return True
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(chunk[8:-4].partition(b"\0")[2][1:], _MAX_PROFILE_BYTES)
    except zlib.error:
        return False
    return unpacker.eof


def split_exif(jpeg: bytes) -> tuple[bytes, bytes]:
    """Return a JPEG's essential part without its EXIF, and the EXIF; one that has no end as it is.

    Args:
        jpeg: What `essential` returns.
    """
    bare = _essential_jpeg(jpeg, {0xE2: _JPEG_KEPT[0xE2]})
    if bare is None:
        return jpeg, b""
    pieces = (
        jpeg[start + 4 : end]
        for code, start, end in jpeg_segments(jpeg)
        if code == 0xE1 and jpeg.startswith(_JPEG_KEPT[0xE1], start + 4)
    )
    # a longer one goes on in further segments, each with its own beginning
    exif = b"".join(piece[6 * (n > 0) :] for n, piece in enumerate(pieces))
    return bare, exif


def jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    r"""Yield a JPEG's segments, up to its end's or to what is no segment.

    Markers are followed by length, so that the end of a thumbnail is not taken for the end.

    Args:
        content: The file.

    Yields:
        The marker's second byte, where the marker begins, and where the segment ends. What
        follows a start of scan (0xDA) up to the next segment are its pixels.

    Example:
        >>> list(jpeg_segments(b"\xff\xd8\xff\xfe\0\4hi\xff\xd9"))
        [(254, 2, 8), (217, 8, 10)]
    """
    at = 2
    for _ in range(_MAX_SEGMENTS):
        marker = _JPEG_MARKER.search(content, at)
        if marker is None:
            return
        at, code = marker.end(), marker[1][0]
        if code == 0xD9:
            yield code, marker.start(), at
            return
        end = at + int.from_bytes(content[at : at + 2])
        if not at + 2 <= end <= len(content):
            return
        yield code, marker.start(), end
        at = end


def _essential_jpeg(content: bytes, wanted: Mapping[int, bytes] = _JPEG_KEPT) -> bytes | None:
    """What is between segments is kept, since the pixels are."""
    kept: list[bytes] = []
    copied = 0
    for code, start, end in jpeg_segments(content):
        if code == 0xD9:
            return b"".join([*kept, content[copied:end]])
        beginning = wanted.get(code)
        if code in _JPEG_DROPPED and not (
            beginning is not None and content.startswith(beginning, start + 4)
        ):
            kept.append(content[copied:start])
            copied = end
    return None


def _essential_webp(content: bytes) -> bytes | None:
    """The header says how long the image is; a missing last padding byte does no harm."""
    size = 8 + int.from_bytes(content[4:8], "little")
    if size > len(content):
        return None
    at = 12
    for _ in range(_MAX_WEBP_PARTS):
        if at >= size:
            return content[: size + size % 2]
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return None
