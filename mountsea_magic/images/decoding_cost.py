"""Estimate the work of decoding an image from its headers, before decoding anything."""

from __future__ import annotations

from dataclasses import dataclass

from .formats import jpeg_segments

MAX_WORK = 2 * 1024**3
"""The limit of pixels times JPEG scans, which take some seconds to decode.

That is 64 million pixels in 32 scans or 17 million in 120; encoders write 10 scans or fewer.
"""

IN_PROCESS_WORK = 36_000_000
"""Up to so much work an image is decoded in this process: about half a second, and twice the
largest documented image of a model."""

_SCAN_WORK = 16_384
"""The minimum cost of a JPEG scan, in pixels."""

_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""The JPEG segments (SOFn) that contain the size."""


@dataclass(frozen=True, slots=True)
class Work:
    """The size and number of scans in the headers of an image file.

    Attributes:
        width: In pixels; 0 if unknown.
        height: In pixels; 0 if unknown.
        scans: How many passes over the pixels decoding takes.
    """

    width: int
    height: int
    scans: int = 1

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def amount(self) -> int:
        """The pixels of all scans together."""
        return self.scans * max(self.pixels, _SCAN_WORK)


def work_of(content: bytes, kind: str | None) -> Work:
    r"""Read the size and number of scans from the headers.

    Args:
        content: An image file, as returned by `essential`.
        kind: ``png``, ``jpeg`` or ``webp``; other formats return a size of 0.

    Example:
        >>> work_of(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\4\0\0\0\3", "png")
        Work(width=4, height=3, scans=1)
    """
    if kind == "png":
        return Work(int.from_bytes(content[16:20]), int.from_bytes(content[20:24]))
    if kind == "jpeg":
        return _work_of_jpeg(content)
    if kind == "webp":
        return _work_of_webp(content)
    return Work(0, 0)


def _work_of_jpeg(content: bytes) -> Work:
    """If there are several sizes, take the largest; count every scan."""
    width = height = scans = 0
    for code, start, _ in jpeg_segments(content):
        if code in _FRAME_HEADERS:
            height = max(height, int.from_bytes(content[start + 5 : start + 7]))
            width = max(width, int.from_bytes(content[start + 7 : start + 9]))
        scans += code == 0xDA
    return Work(width, height, max(1, scans))


def _work_of_webp(content: bytes) -> Work:
    """Take the size of the canvas: it is allocated when the file is opened."""
    name, head = content[12:16], content[20:30]
    width = height = 0
    if name == b"VP8X":
        width = int.from_bytes(head[4:7], "little") + 1
        height = int.from_bytes(head[7:10], "little") + 1
    elif name == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif name == b"VP8 ":
        width = int.from_bytes(head[6:8], "little") & 0x3FFF
        height = int.from_bytes(head[8:10], "little") & 0x3FFF
    # counted as two scans, since libwebp holds three copies of the image besides Pillow's
    return Work(width, height, scans=2)
