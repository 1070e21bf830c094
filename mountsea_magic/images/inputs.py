"""Input images: convert paths, URLs, variables and Python values to URLs or data URIs."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest
from ..runtime.daemon_threads import run_in_thread
from ..runtime.text import os_error_reason, sanitize
from ..settings.hub_urls import has_valid_host
from .arrays import as_image
from .data_uris import InlineError, InlineTooLarge, clean_url, read_inline
from .decoding import (
    UNREADABLE,
    RawPhoto,
    TooManyPixels,
    Undecodable,
    UndefinedRange,
    decode,
    normalized,
    orientation,
)
from .files import MAX_PIXELS, GeneratedImage
from .formats import RAW, essential, identify, sniff

if TYPE_CHECKING:
    from PIL.Image import Image

UPLOAD_BYTES = 10_000_000
"""The largest input image, in bytes (10 MB, documented for a related API)."""

_MAX_NESTING = 4
"""How deep lists of images may be nested."""

_URL = re.compile(r"(?i)(https?://|data:)")
_VARIABLE = re.compile(r"([^\W\d]\w*)((?:\.images)?(?:\[-?\d+\])?)")


def read_source(
    text: str, variables: Mapping[str, Any], *, shrink: bool = False, option: str = "--image"
) -> list[str]:
    """Read the input images that a word on the magic line refers to.

    Args:
        text: A URL, the name of a variable (also ``dog[0]``), or a path.
        variables: The user's variables.
        shrink: Scale down images above `UPLOAD_BYTES`.
        option: The option's name, for error messages.

    Returns:
        The URLs and data URIs, in order; a result counts as all its images.

    Raises:
        InvalidRequest: If there is no such file or variable, or it is not a valid image.

    Example:
        >>> read_source("https://example.com/dog.png", {})
        ['https://example.com/dog.png']
    """
    with _labeled(f"{option} {sanitize(text, limit=80)}"):
        return _urls(_found(text, variables), shrink)


def to_urls(value: Any, *, shrink: bool = False, label: str = "image") -> list[str]:
    """Convert images to URLs: a result, a Pillow image, an array, bytes, an open file, a path.

    Args:
        value: One of these, a URL, or a list of them.
        shrink: Scale down images above `UPLOAD_BYTES`.
        label: How the user referred to the value, for error messages.

    Returns:
        The URLs and data URIs, in order; web URLs are not fetched.

    Raises:
        InvalidRequest: If it is not an image, is damaged or too large.

    Example:
        >>> to_urls("https://example.com/dog.png")
        ['https://example.com/dog.png']
    """
    with _labeled(label):
        return _urls(value, shrink)


def open_image(source: str | os.PathLike[str] | bytes) -> Image:
    """Decode an image file completely.

    Args:
        source: Its path, or its content.

    Returns:
        The image, without its EXIF orientation applied.

    Raises:
        InvalidRequest: If it can't be read, is no image, damaged or too large.

    Example:
        >>> open_image(b"a dog")
        Traceback (most recent call last):
        mountsea_magic.errors.InvalidRequest: it is not a readable image.
    """
    if isinstance(source, str) and _URL.match(clean_url(source)):
        raise InvalidRequest("a URL is not opened here; give the image itself or its file.")
    return _opened(source if isinstance(source, bytes) else _read(Path(source)))


@contextmanager
def _labeled(label: str) -> Iterator[None]:
    """Begin the message of an error with how the user referred to the image."""
    try:
        yield
    except InvalidRequest as error:
        raise InvalidRequest(f"{label}: {error}") from error.__cause__


def _found(text: str, variables: Mapping[str, Any]) -> Any:
    """Return the URL, the variable's value or the path that a word refers to."""
    if _URL.match(clean_url(text)):
        return text
    named = _VARIABLE.fullmatch(text)
    if named is not None and named[1] in variables:
        value = variables[named[1]]
        return _indexed(value, named[2]) if named[2] else value
    if _is_file(text):
        return Path(text).expanduser()
    close = get_close_matches(text, [name for name in variables if not name.startswith("_")], n=1)
    hint = f" Did you mean the variable {close[0]}?" if close else ""
    raise InvalidRequest(f"no such file or variable.{hint}")


def _urls(value: Any, shrink: bool, depth: int = _MAX_NESTING) -> list[str]:
    """Convert the images of a value; `depth` is how deep lists may still be nested."""
    if isinstance(value, str) and _URL.match(clean_url(value)):
        return [_checked_url(clean_url(value), shrink)]
    if isinstance(value, str | os.PathLike):
        return [_data_uri(_read(Path(value)), shrink)]
    if isinstance(value, GeneratedImage):
        return [_data_uri(_read(value.path), shrink)]
    if isinstance(value, bytes | bytearray | memoryview):
        return [_data_uri(bytes(value), shrink)]
    if callable(getattr(value, "read", None)):
        return [_data_uri(_read_open(value), shrink)]
    image = as_image(value)
    if image is not None:
        if 0 in image.size:
            raise InvalidRequest("the image has no pixels.")
        return [_data_uri(_encoded(image), shrink)]
    images = getattr(value, "images", value)
    if not images and not hasattr(value, "task_id"):
        images = value  # a matplotlib figure has an empty list of that name
    if isinstance(images, list | tuple) and depth > 0:
        if not images:
            raise InvalidRequest("it contains no images yet.")
        nested = [_urls(item, shrink, depth - 1) for item in images]
        return [url for urls in nested for url in urls]
    raise InvalidRequest(
        "expected a path, URL, Pillow image, array or bytes (got "
        f"{sanitize(type(value).__name__, limit=60)})."
    )


def _indexed(value: Any, steps: str) -> Any:
    """Resolve the index in `dog[0]` or `dog.images[0]`."""
    if steps.startswith(".images"):
        value = getattr(value, "images", None)
        steps = steps.removeprefix(".images")
    if not steps:
        return value
    try:
        return value[int(steps[1:-1])]
    except (TypeError, ValueError, LookupError) as error:
        raise InvalidRequest(f"{sanitize(error, limit=80)}.") from error


def _read(path: Path) -> bytes:
    """Read a file, unless it is far above the limit."""
    try:
        path = path.expanduser()
        if path.stat().st_size > 20 * UPLOAD_BYTES:
            raise InvalidRequest(_far_too_large())
        return path.read_bytes()
    except (OSError, RuntimeError, ValueError) as error:
        reason = os_error_reason(error, limit=80)
        raise InvalidRequest(f"{reason}: '{sanitize(path, limit=200)}'.") from error


def _far_too_large() -> str:
    return f"it is larger than {20 * UPLOAD_BYTES // 10**6} MB."


def _is_file(text: str) -> bool:
    """Return whether there is such a file; False also if the text is no valid path."""
    try:
        return Path(text).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):
        return False


def _read_open(file: Any) -> bytes:
    """Read an open file from its start, then restore its position."""
    try:
        position = file.tell() if file.seekable() else None
    except (AttributeError, OSError, ValueError):  # not every reader has these methods
        position = None
    try:
        if position is not None and file.seek(0, os.SEEK_END) > 20 * UPLOAD_BYTES:
            file.seek(position)
            raise InvalidRequest(_far_too_large())
        if position is not None:
            file.seek(0)
        content = file.read()
        if position is not None:
            file.seek(position)
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{sanitize(error, limit=80)}.") from error
    if not isinstance(content, bytes | bytearray | memoryview):
        raise InvalidRequest(
            f"read() returned {type(content).__name__} instead of bytes; "
            "open the file in mode 'rb'."
        )
    return bytes(content)


def _checked_url(url: str, shrink: bool) -> str:
    """Check a URL's host, since the Hub fetches it; validate the image of a data URI."""
    if url[:5].lower() != "data:":
        if not has_valid_host(url):
            raise InvalidRequest("the URL has no valid host or port.")
        return url
    try:
        content = read_inline(url, max_bytes=20 * UPLOAD_BYTES)
    except InlineTooLarge as error:
        raise InvalidRequest(_far_too_large()) from error
    except InlineError as error:
        raise InvalidRequest(f"{error}.") from error
    return _data_uri(content, shrink)


def _data_uri(content: bytes, shrink: bool) -> str:
    """Validate an image; PNG, JPEG and WebP that need no conversion are sent unchanged."""
    image = _opened(content)
    kind = sniff(content[:12])
    animated = kind == "webp" and getattr(image, "is_animated", False)
    # decoders such as Pillow clip 16-bit greys at 255, to all white
    deep = image.mode.startswith("I")
    if kind is None or animated or deep or orientation(image) != 1:
        content = _encoded(image, "jpeg" if kind == "jpeg" else "png")
        kind = sniff(content[:12])
    if len(content) > UPLOAD_BYTES:
        content = _reduced(content, image, str(kind), shrink)
        kind = sniff(content[:12])
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _reduced(content: bytes, image: Image, kind: str, shrink: bool) -> bytes:
    """Strip metadata if that suffices, else scale down; raises without `shrink`."""
    bare = essential(content, kind)
    fits = bare is not None and len(bare) <= UPLOAD_BYTES
    if not shrink:
        extra = (len(content) - len(bare)) / 1e6 if bare is not None and fits else 0.0
        cure = (
            f"--shrink removes {extra:.1f} MB of metadata; the pixels stay unchanged."
            if extra
            else "--shrink scales it down to fit."
        )
        raise InvalidRequest(
            f"the image has {len(content) / 1e6:.1f} MB; the Hub accepts at most "
            f"{UPLOAD_BYTES // 10**6} MB per image. {cure}"
        )
    return bare if bare is not None and fits else _shrunk(image, kind)


def _opened(content: bytes) -> Image:
    """Decode the whole image, so that a truncated file is refused before submitting."""
    try:
        return run_in_thread(lambda _: decode(content, max_pixels=MAX_PIXELS))
    except TooManyPixels as error:
        raise InvalidRequest(f"{error}.") from error
    except Undecodable as error:
        raise InvalidRequest(f"{_reason(content, error)}.") from error


def _reason(content: bytes, error: Undecodable) -> str:
    """Say whether the file is damaged, or of a format that must be converted first."""
    kind = sniff(content[:12])
    if kind is not None:
        return f"the {kind.upper()} image is damaged: {error}"
    known = RAW if isinstance(error, RawPhoto) else identify(content)
    if known is None:
        return "it is not a readable image"
    name, cure = known
    return f"it is {name}, which Pillow can't read here: {cure}"


def _encoded(image: Image, kind: str = "png") -> bytes:
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
    except UndefinedRange as error:
        raise InvalidRequest(
            f"an image {error} has no defined black and white; scale it to 0..255, then "
            "`.convert('L')`."
        ) from error
    except UNREADABLE as error:
        raise InvalidRequest("it is not a readable image.") from error
    return buffer.getvalue()


def _shrunk(image: Image, kind: str) -> bytes:
    """Scale down step by step, since the compressed size can't be predicted."""
    content = _encoded(image, kind)
    image = normalized(image, ("L", "LA", "RGB", "RGBA"))
    while len(content) > UPLOAD_BYTES:
        factor = max(0.3, min(0.95, (UPLOAD_BYTES / len(content)) ** 0.5 * 0.97))
        width, height = (max(1, int(side * factor)) for side in image.size)
        image = image.resize((width, height))
        content = _encoded(image, kind)
    return content
