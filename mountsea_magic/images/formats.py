"""Parse image files: detect the format, find the image's end, strip metadata."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping

_PNG_ANCILLARY = frozenset({b"tRNS", b"gAMA", b"sRGB", b"iCCP", b"eXIf"})
"""The ancillary chunks that affect the displayed image; texts and animations do not."""

_PNG_CRITICAL = frozenset({b"IHDR", b"PLTE"})
"""The critical chunks besides IDAT and IEND; Pillow ignores other critical chunks."""

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"

_MAX_PNG_CHUNKS = 500_000
"""The limit of chunks in a PNG; more of them would only serve to waste time."""

_MAX_PIXEL_CHUNKS = 10_000
"""With more IDAT chunks a PNG is rewritten; libpng writes 8,192 for 64 MiB."""

_MAX_JPEG_SEGMENTS = 50_000
"""The limit of segments in a JPEG, which Pillow reads in Python; usual are some hundred."""

_MAX_WEBP_CHUNKS = 20_000
"""The limit of chunks in a WebP, whose decoder allocates a record for each frame."""

_MAX_PROFILE_BYTES = 1024 * 1024
"""The largest color profile that Pillow decompresses from a PNG, in bytes."""

_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
"""Markers followed by a length, and EOI; the others have no payload or occur within data."""

_JPEG_RELEVANT = {0xE1: b"Exif\0", 0xE2: b"ICC_PROFILE\0"}
"""Of these segments, only those with this prefix affect the displayed image."""

_JPEG_DROPPED = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})
"""Metadata and comments; APP0 and APP14 are kept, as they define the color space."""

_CONVERT = "convert it to JPEG or PNG"
_HEIF = f"{_CONVERT}, or `pip install pillow-heif` and call pillow_heif.register_heif_opener()"
_AVIF = f"{_CONVERT}, or `pip install -U pillow` (11.3 or newer reads it)"

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
    (rb"\x93NUMPY", "a NumPy array", "load it, and pass the variable"),
    (rb".{128}DICM", "a DICOM image", _CONVERT),
    (rb"8BPS", "a Photoshop file", _CONVERT),
    (rb".{0,1024}?%PDF-", "a PDF file", "export the page as PNG"),
    (rb"(?i)\s*(?:<!doctype html|<html|<head)", "an HTML page", "download the image itself"),
    (rb"(?i)(?:\xef\xbb\xbf)?\s*<.*<?svg\b", "an SVG drawing", "export it as PNG"),
    (rb"version https://git-lfs", "a Git LFS pointer", "fetch the file with `git lfs pull`"),
    (rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf", "an archive", "unpack it first"),
)
"""Signatures of other file types, with a name and a hint how to get an image."""


def sniff(head: bytes) -> str | None:
    r"""Return an image's format by its first 12 bytes, or None if it is no supported format.

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
    """Identify a file that is not a PNG, JPEG or WebP image by its first bytes.

    Args:
        content: The file, or at least its first 2,000 bytes.

    Returns:
        Its type with an article, and how to get an image from it; None if it is unknown.

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
    r"""Return an image file without the data that does not affect the displayed image.

    Texts, comments, thumbnails, further frames and trailing data can be large or malformed, and
    Pillow rejects valid images because of them.

    Args:
        content: The file.
        kind: ``png``, ``jpeg`` or ``webp``.

    Returns:
        The file's essential part, or None if the file is truncated.

    Example:
        >>> essential(b"\xff\xd8\xff\xfe\0\4hi\xff\xd9 and more", "jpeg")
        b'\xff\xd8\xff\xd9'
    """
    return {"png": _essential_png, "jpeg": _essential_jpeg, "webp": _essential_webp}[kind](content)


def _essential_png(content: bytes) -> bytes | None:
    """Keep the first chunk of each kind, an ancillary one only if it is valid.

    A million IDAT chunks would take Pillow minutes, so very many are merged.
    """
    before: dict[bytes, bytes] = {}
    after: dict[bytes, bytes] = {}
    pixels: list[bytes] = []
    start = 8
    for _ in range(_MAX_PNG_CHUNKS):
        name = content[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(content[start : start + 4])
        if end > len(content):
            return None
        if name == b"IEND":
            if content[start:end] != _PNG_END:
                return None
            if len(pixels) > _MAX_PIXEL_CHUNKS:
                pixels = [_png_chunk(b"IDAT", b"".join(chunk[8:-4] for chunk in pixels))]
            whole = b"".join([content[:8], *before.values(), *pixels, *after.values(), _PNG_END])
            return content if whole == content else whole  # large: one copy of it in memory
        if name == b"IDAT":
            pixels.append(content[start:end])
        elif name not in before and name not in after:
            chunk = content[start:end]
            if name in _PNG_CRITICAL or (name in _PNG_ANCILLARY and _is_valid(name, chunk)):
                (after if pixels else before)[name] = chunk
        start = end
    return None


def _png_chunk(name: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(name))
    return len(body).to_bytes(4) + name + body + checksum.to_bytes(4)


def _is_valid(name: bytes, chunk: bytes) -> bool:
    """Return whether Pillow can read an ancillary chunk of a PNG."""
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
    """Split a JPEG into its essential part without EXIF, and the EXIF data.

    Args:
        jpeg: A JPEG, as returned by `essential`.

    Returns:
        Both parts; the JPEG unchanged and empty bytes if it is truncated.
    """
    bare = _essential_jpeg(jpeg, {0xE2: _JPEG_RELEVANT[0xE2]})
    if bare is None:
        return jpeg, b""
    pieces = (
        jpeg[start + 4 : end]
        for code, start, end in jpeg_segments(jpeg)
        if code == 0xE1 and jpeg.startswith(_JPEG_RELEVANT[0xE1], start + 4)
    )
    # EXIF above 64 kB continues in further segments, each with the same prefix
    exif = b"".join(piece[6 * (n > 0) :] for n, piece in enumerate(pieces))
    return bare, exif


def jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    r"""Yield a JPEG's segments, up to the end marker or the first invalid one.

    Segments are skipped by their length, so the end marker of a thumbnail is not mistaken for the
    image's end.

    Args:
        content: The file.

    Yields:
        The marker's second byte, the start of the marker and the end of the segment. The data
        between a start of scan (0xDA) and the next segment are compressed pixels.

    Example:
        >>> list(jpeg_segments(b"\xff\xd8\xff\xfe\0\4hi\xff\xd9"))
        [(254, 2, 8), (217, 8, 10)]
    """
    position = 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        marker = _JPEG_MARKER.search(content, position)
        if marker is None:
            return
        position, code = marker.end(), marker[1][0]
        if code == 0xD9:
            yield code, marker.start(), position
            return
        end = position + int.from_bytes(content[position : position + 2])
        if not position + 2 <= end <= len(content):
            return
        yield code, marker.start(), end
        position = end


def _essential_jpeg(content: bytes, wanted: Mapping[int, bytes] = _JPEG_RELEVANT) -> bytes | None:
    """Drop metadata segments; the data between segments are pixels, and kept."""
    parts: list[bytes] = []
    copied = 0
    for code, start, end in jpeg_segments(content):
        if code == 0xD9:
            return b"".join([*parts, content[copied:end]])
        prefix = wanted.get(code)
        if code in _JPEG_DROPPED and not (
            prefix is not None and content.startswith(prefix, start + 4)
        ):
            parts.append(content[copied:start])
            copied = end
    return None


def _essential_webp(content: bytes) -> bytes | None:
    """Cut at the length in the header; a missing last padding byte is tolerated."""
    size = 8 + int.from_bytes(content[4:8], "little")
    if size > len(content):
        return None
    position = 12
    for _ in range(_MAX_WEBP_CHUNKS):
        if position >= size:
            return content[: size + size % 2]
        length = int.from_bytes(content[position + 4 : position + 8], "little")
        position += 8 + length + length % 2
    return None
