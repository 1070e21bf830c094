"""Sizes of the demo Hub's images: the models' native sizes, in pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NATIVE_SIZES = {
    "1:1": (1024, 1024),
    "16:9": (1344, 768),
    "9:16": (768, 1344),
    "3:2": (1248, 832),
    "2:3": (832, 1248),
    "4:3": (1184, 864),
    "3:4": (864, 1184),
    "5:4": (1152, 896),
    "4:5": (896, 1152),
    "21:9": (1536, 672),
    "4:1": (2048, 512),
    "1:4": (512, 2048),
    "8:1": (2816, 352),
    "1:8": (352, 2816),
}
"""Documented for nano-banana by a related API; the last four are assumed."""

NAMED_SIZES = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
"""Named sizes of gpt-image-2's `image_size`; the pixel values are assumed."""

MAX_SIDE = 4096
_AREA = 1024 * 1024
_AREA_TOLERANCE = 0.1
"""An edit keeps its source's size if the area deviates by at most this fraction, so that a chain of
edits stays sharp."""

_MAX_RATIO = 8.0
_SCALES = {"0.5K": 0.5, "1K": 1.0, "2K": 2.0, "4K": 4.0}


def image_size(given: Mapping[str, Any], source: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return the size of the images that an input asks for.

    Args:
        given: The input of the request.
        source: Width and height of the image to edit, in pixels. Unless the input asks for another
            aspect ratio than ``auto``, the result has the source's, at about 1024² pixels.

    Returns:
        Width and height in pixels, each from 64 to `MAX_SIDE`.

    Example:
        >>> image_size({"aspect_ratio": "16:9"})
        (1344, 768)
        >>> image_size({"aspect_ratio": "auto"}, (4000, 1000))
        (2048, 512)
    """
    size = given.get("image_size")
    ratio = str(given.get("aspect_ratio", "auto" if source else "1:1"))
    if isinstance(size, Mapping):
        width, height = (min(MAX_SIDE, int(size[side])) for side in ("width", "height"))
    elif isinstance(size, str):
        width, height = NAMED_SIZES[size]
    elif ratio == "auto" and source is not None:
        width, height = _same_shape(*source)
    else:
        width, height = NATIVE_SIZES.get(ratio, NATIVE_SIZES["1:1"])
    scale = _SCALES.get(str(given.get("resolution", "1K")), 1.0)
    scale = min(scale, MAX_SIDE / max(width, height))
    return max(64, round(width * scale)), max(64, round(height * scale))


def _same_shape(width: int, height: int) -> tuple[int, int]:
    """Return the source's size, scaled to the usual area; extreme aspect ratios are limited."""
    ratio = max(1 / _MAX_RATIO, min(_MAX_RATIO, width / height))
    if abs(width * height / _AREA - 1) <= _AREA_TOLERANCE and ratio == width / height:
        return width, height
    return round(math.sqrt(_AREA * ratio)), round(math.sqrt(_AREA / ratio))
