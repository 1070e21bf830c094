"""Convert arrays to Pillow images, or raise with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest
from ..runtime.text import sanitize

if TYPE_CHECKING:
    from PIL.Image import Image

_ROUNDING = 0.001
"""Tolerance for rounding errors at the ends of the float range."""


def as_image(value: Any) -> Image | None:
    """Convert a Pillow image or an object with numpy's array interface to a Pillow image.

    Args:
        value: Any value.

    Returns:
        The image, or None if the value is neither.

    Raises:
        InvalidRequest: If it is an array that is not a supported image.

    Example:
        >>> as_image("not an array") is None
        True
    """
    from PIL import Image

    if isinstance(value, Image.Image):
        return value
    interface = getattr(value, "__array_interface__", None)
    if not isinstance(interface, dict):
        return None
    shape, typecode = tuple(interface.get("shape", ())), str(interface.get("typestr", ""))[1:]
    dtype = getattr(value, "dtype", interface.get("typestr", "unknown type"))
    unsupported = InvalidRequest(
        f"unsupported array shape {sanitize(shape, limit=80)} of "
        f"{sanitize(dtype, limit=40)}; expected (height, width, 3) of uint8."
    )
    if len(shape) not in (2, 3) or 0 in shape:
        raise unsupported
    if typecode[:1] == "f":
        if not (value == value).all():
            raise InvalidRequest("the array contains NaN values.")
        _check_range(value, 1, _ROUNDING, "a float array")
        value = (value.clip(0.0, 1.0) * 255).round().astype("uint8")
    elif typecode[:1] == "b":
        value = value.astype("uint8") * 255
    try:
        if typecode[:1] in ("i", "u") and typecode != "u1":
            _check_range(value, 255, 0.0, "an integer array")
            value = value.astype("uint8")
        return Image.fromarray(value)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise unsupported from error


def _check_range(value: Any, maximum: int, tolerance: float, description: str) -> None:
    """Refuse out-of-range values: clipping would send an all-black or all-white image."""
    low, high = value.min(), value.max()
    if low < -tolerance or high > maximum + tolerance:
        raise InvalidRequest(
            f"{description} must have values from 0 to {maximum} (got {low:g} to {high:g}): "
            "scale it first."
        )
