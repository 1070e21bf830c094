"""EXIF: how an image is to be turned, read without trust in any other word of it."""

from __future__ import annotations

import re
import struct

_ORIENTATION = 0x0112

_SIZES = {1: "B", 3: "H", 4: "L"}
"""The types of numbers that an orientation is written in, and how `struct` calls them."""


def orientation_of(exif: bytes) -> int:
    r"""Return the orientation from 1 to 8, as browsers read it; 1, upright, if it is damaged.

    Pillow would first read all that the other entries point to, and some point to each other's.

    Args:
        exif: The block, with or without ``Exif\0\0`` before it.

    Example:
        >>> orientation_of(b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0")
        6
    """
    start = 0
    marks = re.match(rb"(?:Exif\0\0){1,2}", exif)
    if marks is not None:
        start = marks.end()
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[start : start + 4])
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(f"{order}L", exif, start + 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start + offset)
        for number in range(count):
            at = start + offset + 2 + 12 * number
            tag, kind, values = struct.unpack_from(f"{order}HHL", exif, at)
            if tag == _ORIENTATION and kind in _SIZES and values == 1:
                (turn,) = struct.unpack_from(f"{order}{_SIZES[kind]}", exif, at + 8)
                return int(turn) if 1 <= turn <= 8 else 1
    except struct.error:
        pass  # it ends before the entry
    return 1
