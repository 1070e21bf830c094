"""Color profiles: read an image's ICC profile or gamma, and convert to sRGB."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .pillow_checks import UNREADABLE

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_APPLIED_PROFILE_BYTES = 8_000_000
"""The largest color profile that is applied, in bytes; printer profiles reach 3 million."""

COLOR_SPACES = {"RGB": "RGB ", "RGBA": "RGB ", "P": "RGB ", "L": "GRAY", "LA": "GRAY"}
COLOR_SPACES |= {"PA": "RGB ", "RGBa": "RGB ", "RGBX": "RGB ", "YCbCr": "RGB ", "CMYK": "CMYK"}
"""The color space that a profile must declare, by image mode."""


def has_transparency(image: Image) -> bool:
    """Return whether an image has an alpha channel or a transparent color."""
    return bool({"A", "a"} & set(image.getbands())) or "transparency" in image.info


def profile_of(info: Mapping[Any, Any], mode: str) -> bytes:
    """Return the ICC profile, or empty bytes if it is invalid or for another color space."""
    profile = info.get("icc_profile")
    if not isinstance(profile, bytes) or profile[36:40] != b"acsp":
        return b""
    if len(profile) > _MAX_APPLIED_PROFILE_BYTES:
        return b""
    return profile if profile[16:20].decode("latin-1") == COLOR_SPACES.get(mode) else b""


def exponent_of(gamma: Any) -> float:
    """Return the exponent that converts levels with a PNG's gamma to sRGB; 1 changes nothing."""
    if not isinstance(gamma, float) or not 0.05 < gamma < 5:
        return 1.0
    exponent = 1 / (2.2 * gamma)
    return exponent if abs(exponent - 1) > 0.05 else 1.0


def convert_to_srgb(image: Image, profile: bytes) -> Image:
    """Convert to sRGB by a profile; if Pillow can't apply it, the levels stay unchanged."""
    from PIL import ImageCms

    mode = {"L": "L", "LA": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
    colors = image.convert(mode)
    try:
        srgb = ImageCms.createProfile("sRGB")
        source = ImageCms.ImageCmsProfile(io.BytesIO(_without_programs(profile)))
        result = ImageCms.profileToProfile(colors, source, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, ImportError, *UNREADABLE):
        result = None
    result = colors.convert("RGB") if result is None else result
    if has_transparency(image):
        result.putalpha(image.convert("RGBA").getchannel("A"))
    result.info = {}
    return result


def _without_programs(profile: bytes) -> bytes:
    """Disable multi-process tags (D2Bx, B2Dx): a hostile one would run for minutes."""
    count = min(int.from_bytes(profile[128:132]), 1000)
    renamed = bytearray(profile)
    for at in range(132, 132 + 12 * count, 12):
        if profile[at : at + 3] in (b"D2B", b"B2D"):
            renamed[at : at + 4] = b"none"
    return bytes(renamed)
