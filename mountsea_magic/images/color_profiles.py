"""Color profiles: what an image's numbers mean, and the same colors in sRGB."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .pillow_checks import UNREADABLE

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_APPLIED_PROFILE_BYTES = 8_000_000
"""The largest color profile that is applied, in bytes; those of printers have 3 million."""

COLOR_SPACES = {"RGB": "RGB ", "RGBA": "RGB ", "P": "RGB ", "L": "GRAY", "LA": "GRAY"}
COLOR_SPACES |= {"PA": "RGB ", "RGBa": "RGB ", "RGBX": "RGB ", "YCbCr": "RGB ", "CMYK": "CMYK"}
"""The color space that a profile must be for, by the image's mode."""


def is_see_through(image: Image) -> bool:
    """Return whether an image has transparency of any kind."""
    return bool({"A", "a"} & set(image.getbands())) or "transparency" in image.info


def profile_of(info: Mapping[Any, Any], mode: str) -> bytes:
    """A profile for another color space than the image's says nothing about it."""
    profile = info.get("icc_profile")
    if not isinstance(profile, bytes) or profile[36:40] != b"acsp":
        return b""
    if len(profile) > _MAX_APPLIED_PROFILE_BYTES:
        return b""
    return profile if profile[16:20].decode("latin-1") == COLOR_SPACES.get(mode) else b""


def exponent_of(gamma: Any) -> float:
    """What a PNG's gamma makes of its levels on an sRGB screen; about 1 changes nothing."""
    if not isinstance(gamma, float) or not 0.05 < gamma < 5:
        return 1.0
    exponent = 1 / (2.2 * gamma)
    return exponent if abs(exponent - 1) > 0.05 else 1.0


def in_srgb(image: Image, profile: bytes) -> Image:
    """Apply a profile; where it is broken, or Pillow can't, the numbers stay as they are."""
    from PIL import ImageCms

    mode = {"L": "L", "LA": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
    colors = image.convert(mode)
    try:
        screen = ImageCms.createProfile("sRGB")
        given = ImageCms.ImageCmsProfile(io.BytesIO(_without_programs(profile)))
        result = ImageCms.profileToProfile(colors, given, screen, outputMode="RGB")
    except (ImageCms.PyCMSError, ImportError, *UNREADABLE):
        result = None
    result = colors.convert("RGB") if result is None else result
    if is_see_through(image):
        result.putalpha(image.convert("RGBA").getchannel("A"))
    result.info = {}
    return result


def _without_programs(profile: bytes) -> bytes:
    """Rename the tags that hold any number of steps, which would take minutes: others remain."""
    count = min(int.from_bytes(profile[128:132]), 1000)
    renamed = bytearray(profile)
    for at in range(132, 132 + 12 * count, 12):
        if profile[at : at + 3] in (b"D2B", b"B2D"):
            renamed[at : at + 4] = b"none"
    return bytes(renamed)
