"""Read the orientation from untrusted EXIF data, and nothing else."""

from __future__ import annotations

import re
import struct

_ORIENTATION = 0x0112

_SIZES = {1: "B", 3: "H", 4: "L"}
"""The EXIF types that an orientation may have, and their `struct` codes."""


def orientation_of(exif: bytes) -> int:
    r"""Return the orientation (1 to 8) as browsers read it; 1, upright, if missing or damaged.

    Pillow would read the data of all entries; hostile EXIF refers to the same bytes many times.

    Args:
        exif: The EXIF block, with or without the prefix ``Exif\0\0``.

    Example:
        >>> orientation_of(b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0")
        6
    """
    start = 0
    prefix = re.match(rb"(?:Exif\0\0){1,2}", exif)
    if prefix is not None:
        start = prefix.end()
    byte_order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[start : start + 4])
    if byte_order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(f"{byte_order}L", exif, start + 4)
        (count,) = struct.unpack_from(f"{byte_order}H", exif, start + offset)
        for number in range(count):
            position = start + offset + 2 + 12 * number
            tag, kind, values = struct.unpack_from(f"{byte_order}HHL", exif, position)
            if tag == _ORIENTATION and kind in _SIZES and values == 1:
                (orientation,) = struct.unpack_from(
                    f"{byte_order}{_SIZES[kind]}", exif, position + 8
                )
                return int(orientation) if 1 <= orientation <= 8 else 1
    except struct.error:
        pass  # truncated
    return 1
