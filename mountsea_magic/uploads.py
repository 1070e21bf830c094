"""Uploads: a path, an address or a picture from the user's variables becomes what a model takes."""

from __future__ import annotations

import base64
import io
import os
import re
import struct
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InvalidRequest, plain
from .pictures import FORMATS, MAX_PIXELS, Picture, sniff, without_bomb_warning

if TYPE_CHECKING:
    from PIL.Image import Image

UPLOAD_BYTES = 10_000_000
"""The largest input picture, in bytes (known of a neighbouring API: 10 MB)."""

_ROUNDING = 0.001
"""How far a float may be out of its range and still be meant to be in it."""

_UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, AttributeError, struct.error)
"""What Pillow raises where a file is damaged; the last three where its notes are."""

_ADDRESS = re.compile(r"(?i)(https?://|data:)")
_VARIABLE = re.compile(r"([^\W\d]\w*)((?:\.images)?(?:\[-?\d+\])?)")


def read_source(
    text: str, variables: Mapping[str, Any], *, shrink: bool = False, spelled: str = "--image"
) -> list[str]:
    """Find the pictures that a word on the line names.

    Args:
        text: An address, the name of a variable (also ``dog[0]``), or a path.
        variables: The user's variables.
        shrink: Scale down what is too large.
        spelled: How the user named the option, for the errors.

    Returns:
        The addresses and data URIs, in order: a result counts as all its pictures.

    Raises:
        InvalidRequest: If it names nothing, no picture, or one that is too large.
    """
    said = f"{spelled} {plain(text, limit=80)}"
    if _ADDRESS.match(text):
        return [text]
    named = _VARIABLE.fullmatch(text)
    if named is not None and named[1] in variables:
        value = variables[named[1]]
        if named[2]:
            value = _indexed(value, named[2], said)
        return to_urls(value, shrink=shrink, said=said)
    if _is_file(text):
        return to_urls(Path(text).expanduser(), shrink=shrink, said=said)
    close = get_close_matches(text, [name for name in variables if not name.startswith("_")], n=1)
    hint = f" Did you mean the variable {close[0]}?" if close else ""
    raise InvalidRequest(f"{said}: there is no such file, and no such variable.{hint}")


def to_urls(value: Any, *, shrink: bool = False, said: str = "image", depth: int = 4) -> list[str]:
    """Make addresses of pictures: of a result, a picture, a Pillow image, an array, bytes, a path.

    Args:
        value: One of these, or a list of them.
        shrink: Scale down what is too large.
        said: How the user named it, for the errors.
        depth: How many lists may lie within each other.

    Returns:
        The addresses and data URIs, in order.

    Raises:
        InvalidRequest: If it is no picture, or one that is too large.

    Example:
        >>> to_urls("https://example.com/dog.png")
        ['https://example.com/dog.png']
    """
    if isinstance(value, str) and _ADDRESS.match(value):
        return [value]
    if isinstance(value, str | os.PathLike):
        return [_data_uri(_read(Path(value), said), shrink, said)]
    if isinstance(value, Picture):
        return [_data_uri(_read(value.path, said), shrink, said)]
    if isinstance(value, bytes | bytearray | memoryview):
        return [_data_uri(bytes(value), shrink, said)]
    if isinstance(value, io.BytesIO):
        return [_data_uri(value.getvalue(), shrink, said)]
    image = _as_image(value, said)
    if image is not None:
        if 0 in image.size:
            raise InvalidRequest(f"{said}: the picture is empty.")
        try:
            content = _encoded(image)
        except _UNREADABLE as error:
            raise InvalidRequest(f"{said}: it is no picture that can be read.") from error
        return [_data_uri(content, shrink, said)]
    images = getattr(value, "images", value)
    if isinstance(images, list | tuple) and depth > 0:
        if not images:
            raise InvalidRequest(f"{said}: there are no pictures in it yet.")
        below = [to_urls(item, shrink=shrink, said=said, depth=depth - 1) for item in images]
        return [url for urls in below for url in urls]
    raise InvalidRequest(f"{said}: a {type(value).__name__} is no picture.")


def _indexed(value: Any, steps: str, said: str) -> Any:
    """`dog[0]` and `dog.images[0]` name one picture of a result."""
    if steps.startswith(".images"):
        value = getattr(value, "images", None)
        steps = steps.removeprefix(".images")
    if not steps:
        return value
    try:
        return value[int(steps[1:-1])]
    except (TypeError, ValueError, LookupError) as error:
        raise InvalidRequest(f"{said}: {plain(error, limit=80)}.") from error


def _read(path: Path, said: str) -> bytes:
    """What is far too large is not read at all."""
    try:
        path = path.expanduser()
        if path.stat().st_size > 20 * UPLOAD_BYTES:
            raise InvalidRequest(f"{said}: it is larger than {20 * UPLOAD_BYTES // 10**6} MB.")
        return path.read_bytes()
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidRequest(f"{said}: {plain(reason, limit=80)}.") from error


def _is_file(text: str) -> bool:
    """A word that can be no path is none."""
    try:
        return Path(text).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):
        return False


def _data_uri(content: bytes, shrink: bool, said: str) -> str:
    """A whole, upright picture of a known format goes out byte for byte."""
    image = _opened(content, said)
    kind = sniff(content[:12])
    if kind not in FORMATS or image.getexif().get(0x0112, 1) != 1:
        try:
            content = _encoded(image, "jpeg" if kind == "jpeg" else "png")
        except _UNREADABLE as error:
            raise InvalidRequest(f"{said}: it can't be turned upright.") from error
        kind = sniff(content[:12])
    if len(content) > UPLOAD_BYTES:
        if not shrink:
            raise InvalidRequest(
                f"{said}: {len(content) / 1e6:.1f} MB, and the Hub takes {UPLOAD_BYTES // 10**6} "
                "MB a picture. --shrink scales it to fit."
            )
        content = _shrunk(image, str(kind))
        kind = sniff(content[:12])
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _opened(content: bytes, said: str) -> Image:
    """Half a file would be paid for."""
    from PIL import Image

    try:
        with without_bomb_warning(), Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InvalidRequest(
                    f"{said}: {image.width}×{image.height} is more than {MAX_PIXELS} pixels."
                )
            image.load()
            image.getexif()
            return image
    except _UNREADABLE as error:
        raise InvalidRequest(f"{said}: it is no picture that can be read.") from error
    except Image.DecompressionBombError as error:
        raise InvalidRequest(f"{said}: it has more than {MAX_PIXELS} pixels.") from error


def _as_image(value: Any, said: str) -> Image | None:
    """Pillow's own images, and whatever speaks numpy's array protocol."""
    from PIL import Image

    if isinstance(value, Image.Image):
        if value.mode in ("I", "F"):
            low, high = value.getextrema()
            raise InvalidRequest(
                f"{said}: a picture of mode {value.mode} (here {low:g} to {high:g}) has no black "
                "and white of its own: scale it to 0..255, and `.convert('L')`."
            )
        return value
    interface = getattr(value, "__array_interface__", None)
    if not isinstance(interface, dict):
        return None
    lengths, kind = tuple(interface.get("shape", ())), str(interface.get("typestr", ""))[1:]
    no_picture = InvalidRequest(
        f"{said}: an array of shape {'×'.join(map(str, lengths)) or 'none'} is no picture; "
        "height × width × 3 of uint8 is."
    )
    if len(lengths) not in (2, 3) or 0 in lengths:
        raise no_picture
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
        raise no_picture from error


def _refuse_outside(value: Any, highest: int, doubt: float, what: str) -> None:
    """Clipped, it would go out all black or all white, and be paid for."""
    least, most = value.min(), value.max()
    if least < -doubt or most > highest + doubt:
        raise InvalidRequest(
            f"{what} is read from 0 to {highest}, and this one goes from {least:g} to {most:g}: "
            "scale it first."
        )


def _encoded(image: Image, kind: str = "png") -> bytes:
    """Upright, since not every model reads a camera's note about it, and without metadata."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = image.point(lambda level: level * (1 / 257)).convert("L")
    if image.mode not in ("RGB", "RGBA", "L", "LA", "P", "1"):
        image = image.convert("RGB")
    buffer = io.BytesIO()
    if kind == "jpeg":
        image.convert("RGB").save(buffer, "JPEG", quality=95, subsampling=0)
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()


def _shrunk(image: Image, kind: str) -> bytes:
    """Smaller step by step: how a picture packs is not known before."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    content = _encoded(image, kind)
    while len(content) > UPLOAD_BYTES:
        part = max(0.3, min(0.95, (UPLOAD_BYTES / len(content)) ** 0.5 * 0.97))
        image = image.resize((max(1, int(image.width * part)), max(1, int(image.height * part))))
        content = _encoded(image, kind)
    return content
