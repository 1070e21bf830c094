"""Minimal ICC color profiles for tests."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from itertools import product

from PIL import Image, ImageCms, ImageOps


def _fixed(*numbers: float) -> bytes:
    """Encode numbers as ICC s15Fixed16."""
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))


def _profile(kind: bytes, space: bytes, pcs: bytes, tags: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Assemble a profile: header, tag table and tags."""
    table, data, start = b"", b"", 132 + 12 * len(tags)
    for name, content in tags:
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content
    size = start + len(data)
    head = struct.pack(">I4sI4s4s4s", size, b"test", 0x02400000, kind, space, pcs) + bytes(12)
    head += b"acsp" + bytes(28) + _fixed(0.9642, 1.0, 0.8249) + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + data


def _xyz(*numbers: float) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*numbers)


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def p3_profile(padding: int = 0) -> bytes:
    """Build a profile with the primaries of Display P3 and a gamma of 2.2."""
    primaries = {
        b"rXYZ": (0.5151, 0.2412, -0.0011),
        b"gXYZ": (0.2919, 0.6922, 0.0419),
        b"bXYZ": (0.1572, 0.0666, 0.7841),
    }
    tags = [(name, _xyz(*numbers)) for name, numbers in primaries.items()]
    tags += [(name, _curve(2.2)) for name in (b"rTRC", b"gTRC", b"bTRC")]
    tags += [(b"wtpt", _xyz(0.9642, 1.0, 0.8249))]
    if padding:
        tags += [(b"text", b"text\0\0\0\0" + bytes(padding))]
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def gray_profile(gamma: float = 1.0) -> bytes:
    """Build a grayscale profile."""
    white = _xyz(0.9642, 1.0, 0.8249)
    return _profile(b"mntr", b"GRAY", b"XYZ ", [(b"kTRC", _curve(gamma)), (b"wtpt", white)])


def cmyk_profile() -> bytes:
    """Build a CMYK profile with shades of one green, unlike any conversion without profiles."""
    ramp = bytes(range(256))
    grid = b"".join(
        bytes((255 - 50 * sum(inks), 128 - 20 * sum(inks), 128 + 10 * sum(inks)))
        for inks in product((0, 1), repeat=4)
    )
    identity = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + ramp * 4 + grid + ramp * 3
    return _profile(
        b"prtr", b"CMYK", b"Lab ", [(b"A2B0", table), (b"wtpt", _xyz(0.9642, 1.0, 0.8249))]
    )


def visible(content: bytes, at: tuple[int, int] = (0, 0)) -> tuple[int, ...]:
    """Return a pixel in sRGB, with the profile applied, as a color-managed viewer shows it."""
    with Image.open(io.BytesIO(content)) as image:
        upright = ImageOps.exif_transpose(image)
    profile = upright.info.get("icc_profile")
    base = "RGB" if upright.mode in ("P", "RGBA") else upright.mode
    colors = upright.convert(base)
    if profile:
        screen = ImageCms.createProfile("sRGB")
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        shown = ImageCms.profileToProfile(colors, embedded, screen, outputMode="RGB")
        assert shown is not None
        colors = shown
    pixel = colors.convert("RGB").getpixel(at)
    assert isinstance(pixel, tuple)
    return tuple(int(level) for level in pixel)


def max_difference(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the largest difference of two colors in any channel, from 0 to 255."""
    return max(abs(a - b) for a, b in zip(first, second, strict=True))
