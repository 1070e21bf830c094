"""How much work an image is to decode, read from its headers before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from .formats import jpeg_segments

MAX_WORK = 2 * 1024**3
"""The most pixels that are decoded, those of each scan of a JPEG counted; some seconds' worth.

64 million pixels in 32 scans, 17 million in 120; encoders write 10 or fewer.
"""

IN_PROCESS_WORK = 36_000_000
"""Up to so many an image is decoded where it is; half a second's worth, twice the largest image
that a model is documented to make."""

_SCAN_WORK = 16_384
"""What the scan of a JPEG costs at least, in pixels, however small the image is."""

_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""The segments of a JPEG that have its size."""


@dataclass(frozen=True, slots=True)
class Work:
    """What the headers of an image file say.

    Attributes:
        width: In pixels; 0 if the headers do not tell.
        height: In pixels; 0 if the headers do not tell.
        scans: How often the pixels are gone through.
    """

    width: int
    height: int
    scans: int = 1

    @property
    def pixels(self) -> int:
        """Those of the image, each counted once."""
        return self.width * self.height

    @property
    def amount(self) -> int:
        """The pixels of all scans."""
        return self.scans * max(self.pixels, _SCAN_WORK)


def work_of(content: bytes, kind: str | None) -> Work:
    r"""Read how many pixels there are, and how often they are gone through.

    Args:
        content: The essential part of an image file.
        kind: ``png``, ``jpeg`` or ``webp``; of other formats nothing is known.

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
    """The largest size of several counts, and every scan."""
    width = height = scans = 0
    for code, start, _ in jpeg_segments(content):
        if code in _FRAME_HEADERS:
            height = max(height, int.from_bytes(content[start + 5 : start + 7]))
            width = max(width, int.from_bytes(content[start + 7 : start + 9]))
        scans += code == 0xDA
    return Work(width, height, max(1, scans))


def _work_of_webp(content: bytes) -> Work:
    """The canvas counts, since it is allocated as the file is opened."""
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
    # as if there were two scans: libwebp holds the image in three places besides Pillow's
    return Work(width, height, scans=2)
