"""How large the demo Hub's images are: the native sizes of the models, in pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NATIVE = {
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
"""Known of nano-banana from a neighbouring API; the last four are assumed."""

NAMED = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
"""The names of gpt-image-2's `image_size`; the pixels are assumed."""

LONGEST = 4096
_AREA = 1024 * 1024
_NEAR = 0.1
"""How far, as a share, a source may be from the area and keep its size: a chain stays sharp."""

_FLATTEST = 8.0
_SCALES = {"0.5K": 0.5, "1K": 1.0, "2K": 2.0, "4K": 4.0}


def image_size(given: Mapping[str, Any], source: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return width and height of the images that an input asks for.

    Args:
        given: The request's input.
        source: Width and height of the image that is edited, in pixels: without a shape of its
            own, or with the shape ``auto``, the result has the source's, at about 1024² pixels.

    Returns:
        Width and height in pixels, each from 64 to `LONGEST`.

    Example:
        >>> image_size({"aspect_ratio": "16:9"})
        (1344, 768)
        >>> image_size({"aspect_ratio": "auto"}, (4000, 1000))
        (2048, 512)
    """
    named = given.get("image_size")
    ratio = str(given.get("aspect_ratio", "auto" if source else "1:1"))
    if isinstance(named, Mapping):
        width, height = (min(LONGEST, int(named[side])) for side in ("width", "height"))
    elif isinstance(named, str):
        width, height = NAMED[named]
    elif ratio == "auto" and source is not None:
        width, height = _same_shape(*source)
    else:
        width, height = NATIVE.get(ratio, NATIVE["1:1"])
    scale = _SCALES.get(str(given.get("resolution", "1K")), 1.0)
    scale = min(scale, LONGEST / max(width, height))
    return max(64, round(width * scale)), max(64, round(height * scale))


def _same_shape(width: int, height: int) -> tuple[int, int]:
    """A source of about the right size is kept as it is; what is flatter than a banner is not."""
    ratio = max(1 / _FLATTEST, min(_FLATTEST, width / height))
    if abs(width * height / _AREA - 1) <= _NEAR and ratio == width / height:
        return width, height
    return round(math.sqrt(_AREA * ratio)), round(math.sqrt(_AREA / ratio))
