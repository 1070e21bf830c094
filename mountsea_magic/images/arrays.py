"""Arrays: what a user computes with becomes an image, or it is said why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest

if TYPE_CHECKING:
    from PIL.Image import Image

_ROUNDING = 0.001
"""How far a float may be out of its range and still be meant to be in it."""


def as_image(value: Any, said: str) -> Image | None:
    """Return Pillow's own images, and an image of whatever speaks numpy's array protocol.

    Args:
        value: Any value.
        said: How the user named it, for the errors.

    Returns:
        The image, or None if the value is neither.

    Raises:
        InvalidRequest: If it is an array, but not of an image.
    """
    from PIL import Image

    if isinstance(value, Image.Image):
        return value
    interface = getattr(value, "__array_interface__", None)
    if not isinstance(interface, dict):
        return None
    lengths, kind = tuple(interface.get("shape", ())), str(interface.get("typestr", ""))[1:]
    not_an_image = InvalidRequest(
        f"{said}: an array of shape {'×'.join(map(str, lengths)) or 'none'} is not an image; "
        "height × width × 3 of uint8 is."
    )
    if len(lengths) not in (2, 3) or 0 in lengths:
        raise not_an_image
    if kind[:1] == "f":
        if not (value == value).all():
            raise InvalidRequest(f"{said}: there are pixels in it that are no numbers (NaN).")
        _refuse_outside(value, 1, _ROUNDING, f"{said}: an array of floats")
        value = (value.clip(0.0, 1.0) * 255).round().astype("uint8")
    elif kind[:1] == "b":
        value = value.astype("uint8") * 255
    try:
        if kind[:1] in ("i", "u") and kind != "u1":
            _refuse_outside(value, 255, 0.0, f"{said}: an array of whole numbers")
            value = value.astype("uint8")
        return Image.fromarray(value)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise not_an_image from error


def _refuse_outside(value: Any, highest: int, outlier_weight: float, what: str) -> None:
    """Clipped, it would go out all black or all white, and be paid for."""
    least, most = value.min(), value.max()
    if least < -outlier_weight or most > highest + outlier_weight:
        raise InvalidRequest(
            f"{what} is read from 0 to {highest}, and this one goes from {least:g} to {most:g}: "
            "scale it first."
        )
