"""Uploads: a path, an address or an image from the user's variables becomes what a model takes."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest, sanitize
from ..runtime.daemon_threads import run_in_thread
from ..settings.hub_urls import has_valid_host
from .arrays import as_image
from .data_uris import InlineError, InlineTooLarge, clean_url, read_inline
from .decoding import (
    UNREADABLE,
    NoBlackAndWhite,
    RawPhoto,
    TooManyPixels,
    Undecodable,
    decode,
    normalized,
    orientation,
)
from .files import MAX_PIXELS, GeneratedImage
from .formats import RAW, essential, identify, sniff

if TYPE_CHECKING:
    from PIL.Image import Image

UPLOAD_BYTES = 10_000_000
"""The largest input image, in bytes (known of a neighbouring API: 10 MB)."""

_ADDRESS = re.compile(r"(?i)(https?://|data:)")
_VARIABLE = re.compile(r"([^\W\d]\w*)((?:\.images)?(?:\[-?\d+\])?)")


def read_source(
    text: str, variables: Mapping[str, Any], *, shrink: bool = False, spelled: str = "--image"
) -> list[str]:
    """Find the images that a word on the line names.

    Args:
        text: An address, the name of a variable (also ``dog[0]``), or a path.
        variables: The user's variables.
        shrink: Scale down what is too large.
        spelled: How the user named the option, for the errors.

    Returns:
        The addresses and data URIs, in order: a result counts as all its images.

    Raises:
        InvalidRequest: If it names nothing, no image, or one that is too large.
    """
    said = f"{spelled} {sanitize(text, limit=80)}"
    if _ADDRESS.match(clean_url(text)):
        return to_urls(text, shrink=shrink, said=said)
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
    """Make URLs of images: of a result, a Pillow image, an array, bytes, an open file, a path.

    Args:
        value: One of these, a URL, or a list of them.
        shrink: Scale down what is too large.
        said: How the user named it, for the errors.
        depth: How many lists may lie within each other.

    Returns:
        The URLs and data URIs, in order; web URLs are not fetched.

    Raises:
        InvalidRequest: If it is not an image, or one that is damaged or too large.

    Example:
        >>> to_urls("https://example.com/dog.png")
        ['https://example.com/dog.png']
    """
    if isinstance(value, str) and _ADDRESS.match(clean_url(value)):
        return [_checked_url(clean_url(value), shrink, said)]
    if isinstance(value, str | os.PathLike):
        return [_data_uri(_read(Path(value), said), shrink, said)]
    if isinstance(value, GeneratedImage):
        return [_data_uri(_read(value.path, said), shrink, said)]
    if isinstance(value, bytes | bytearray | memoryview):
        return [_data_uri(bytes(value), shrink, said)]
    if callable(getattr(value, "read", None)):
        return [_data_uri(_read_open(value, said), shrink, said)]
    image = as_image(value, said)
    if image is not None:
        if 0 in image.size:
            raise InvalidRequest(f"{said}: the image is empty.")
        return [_data_uri(_encoded(image, said), shrink, said)]
    images = getattr(value, "images", value)
    if not images and not hasattr(value, "task_id"):
        images = value  # a figure of matplotlib has a list of that name, which is empty
    if isinstance(images, list | tuple) and depth > 0:
        if not images:
            raise InvalidRequest(f"{said}: there are no images in it yet.")
        below = [to_urls(item, shrink=shrink, said=said, depth=depth - 1) for item in images]
        return [url for urls in below for url in urls]
    raise InvalidRequest(f"{said}: a {type(value).__name__} is no image.")


def _indexed(value: Any, steps: str, said: str) -> Any:
    """`dog[0]` and `dog.images[0]` name one image of a result."""
    if steps.startswith(".images"):
        value = getattr(value, "images", None)
        steps = steps.removeprefix(".images")
    if not steps:
        return value
    try:
        return value[int(steps[1:-1])]
    except (TypeError, ValueError, LookupError) as error:
        raise InvalidRequest(f"{said}: {sanitize(error, limit=80)}.") from error


def _read(path: Path, said: str) -> bytes:
    """What is far too large is not read at all."""
    try:
        path = path.expanduser()
        if path.stat().st_size > 20 * UPLOAD_BYTES:
            raise InvalidRequest(f"{said}: {_far_too_large()}")
        return path.read_bytes()
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidRequest(f"{said}: {sanitize(reason, limit=80)}.") from error


def _far_too_large() -> str:
    return f"it is larger than {20 * UPLOAD_BYTES // 10**6} MB."


def _is_file(text: str) -> bool:
    """A word that can be no path is none."""
    try:
        return Path(text).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):
        return False


def _read_open(file: Any, said: str) -> bytes:
    """Read an open file from its start, and leave it where it was."""
    try:
        where = file.tell() if file.seekable() else None
    except (AttributeError, OSError, ValueError):  # not every reader has these
        where = None
    try:
        if where is not None and file.seek(0, os.SEEK_END) > 20 * UPLOAD_BYTES:
            file.seek(where)
            raise InvalidRequest(f"{said}: {_far_too_large()}")
        if where is not None:
            file.seek(0)
        content = file.read()
        if where is not None:
            file.seek(where)
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{said}: {sanitize(error, limit=80)}.") from error
    if not isinstance(content, bytes | bytearray | memoryview):
        raise InvalidRequest(
            f"{said}: reading it gives {type(content).__name__}, not bytes: open it in mode 'rb'."
        )
    return bytes(content)


def _checked_url(url: str, shrink: bool, said: str) -> str:
    """A web URL is the Hub's to fetch; an image within a data URI must be whole like any other."""
    if url[:5].lower() != "data:":
        if not has_valid_host(url):
            raise InvalidRequest(f"{said}: this URL names no valid host and port.")
        return url
    try:
        content = read_inline(url, max_bytes=20 * UPLOAD_BYTES)
    except InlineTooLarge as error:
        raise InvalidRequest(f"{said}: {_far_too_large()}") from error
    except InlineError as error:
        raise InvalidRequest(f"{said}: {error}.") from error
    return _data_uri(content, shrink, said)


def _data_uri(content: bytes, shrink: bool, said: str) -> str:
    """A whole, upright image of a known format is sent byte for byte."""
    image = _opened(content, said)
    kind = sniff(content[:12])
    animated = kind == "webp" and getattr(image, "is_animated", False)
    # decoders such as Pillow cut greys of 16 bits off at 255, and all would be white
    deep = image.mode.startswith("I")
    if kind is None or animated or deep or orientation(image) != 1:
        content = _encoded(image, said, "jpeg" if kind == "jpeg" else "png")
        kind = sniff(content[:12])
    if len(content) > UPLOAD_BYTES:
        content = _reduced(content, image, str(kind), shrink, said)
        kind = sniff(content[:12])
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _reduced(content: bytes, image: Image, kind: str, shrink: bool, said: str) -> bytes:
    """Leave out metadata first, which loses nothing that is seen; then scale down."""
    bare = essential(content, kind)
    fits = bare is not None and len(bare) <= UPLOAD_BYTES
    if not shrink:
        extra = (len(content) - len(bare)) / 1e6 if bare is not None and fits else 0.0
        hint = f" Here it only leaves out {extra:.1f} MB of metadata: the pixels stay as they are."
        raise InvalidRequest(
            f"{said}: {len(content) / 1e6:.1f} MB, and the Hub takes {UPLOAD_BYTES // 10**6} "
            f"MB an image. --shrink scales it to fit.{hint if extra else ''}"
        )
    return bare if bare is not None and fits else _shrunk(image, kind, said)


def _opened(content: bytes, said: str) -> Image:
    """Half a file would be paid for."""
    try:
        return run_in_thread(lambda _: decode(content, max_pixels=MAX_PIXELS))
    except TooManyPixels as error:
        raise InvalidRequest(f"{said}: {error}.") from error
    except Undecodable as error:
        raise InvalidRequest(f"{said}: {_why(content, error)}.") from error


def _why(content: bytes, error: Undecodable) -> str:
    """Name the format, and the way out: a HEIC photo is not a damaged file."""
    kind = sniff(content[:12])
    if kind is not None:
        return f"the {kind.upper()} image is damaged: {error}"
    known = RAW if isinstance(error, RawPhoto) else identify(content)
    if known is None:
        return "it is not an image that can be read"
    name, cure = known
    return f"it is {name}, which Pillow can't read here: {cure}"


def _encoded(image: Image, said: str, kind: str = "png") -> bytes:
    """Encode an image upright, since not every model reads EXIF, and without metadata."""
    buffer = io.BytesIO()
    try:
        if kind == "jpeg":
            image = normalized(image, ("L", "RGB"))
            profile = image.info.get("icc_profile")
            image.save(buffer, "JPEG", quality=95, subsampling=0, icc_profile=profile)
        else:
            image = normalized(image)
            image.save(buffer, "PNG", icc_profile=image.info.get("icc_profile"))
    except NoBlackAndWhite as error:
        raise InvalidRequest(
            f"{said}: an image {error} has no black and white of its own: scale it to 0..255, "
            "then `.convert('L')`."
        ) from error
    except UNREADABLE as error:
        raise InvalidRequest(f"{said}: it is not an image that can be read.") from error
    return buffer.getvalue()


def _shrunk(image: Image, kind: str, said: str) -> bytes:
    """Scale down step by step, since how well an image compresses is not known before."""
    content = _encoded(image, said, kind)
    image = normalized(image, ("L", "LA", "RGB", "RGBA"))
    while len(content) > UPLOAD_BYTES:
        part = max(0.3, min(0.95, (UPLOAD_BYTES / len(content)) ** 0.5 * 0.97))
        image = image.resize((max(1, int(image.width * part)), max(1, int(image.height * part))))
        content = _encoded(image, said, kind)
    return content
