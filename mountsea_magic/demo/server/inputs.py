"""The input images of an edit: from data URIs, from this demo Hub, or drawn as stand-ins."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from PIL import Image, ImageDraw, ImageFilter

from ...images.data_uris import InlineError, InlineTooLarge, clean_url, read_inline
from ...images.decoding import TooManyPixels, Undecodable, decode, displayed_size, normalized
from ...images.formats import essential, sniff
from ..drawing import paint
from ..drawing.subject import read_subject

INPUT_BYTES = 10_000_000
"""The largest input image, in bytes (documented for a related API: 10 MB)."""

INPUT_PIXELS = 64 * 1024 * 1024
"""The largest input image to decode, in pixels."""

MAX_INPUTS = 16
"""How many images one edit accepts (assumed)."""

_MAX_STORED_PIXELS = 4_000_000
"""Larger images are scaled down before they are stored: the editor needs no more pixels."""

_FORMATS = ("PNG", "JPEG", "WEBP")
_OWN_PATH = re.compile(r".*/pictures/(hub-[0-9a-f-]{36})/([0-9]{1,3})")

OwnImages = Callable[[str, int], bytes | None]
"""Returns an image of this Hub by task id and image number, or None if there is none."""


class BadInput(ValueError):
    """An input image was rejected; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The input images of one task.

    Attributes:
        images: The files, in the order in which they were given.
        mask: The file of the mask, or None.
        size: Width and height of the first image, in pixels, or None if there is none.
    """

    images: tuple[bytes, ...] = ()
    mask: bytes | None = None
    size: tuple[int, int] | None = None


def take_inputs(given: Mapping[str, Any], own: OwnImages, *, model: str) -> Inputs:
    """Load the images that an input refers to, without network access.

    Data URIs are decoded, and URLs of this Hub's images are resolved. Other URLs can't be fetched:
    a drawing made from the words of the file name stands in for the image.

    Args:
        given: The input of the request; without `image_urls` there are no images.
        own: Returns an image of this Hub.
        model: The model's id, for the label on stand-in drawings.

    Raises:
        BadInput: If an image is too large, damaged, of an unsupported format, or missing.

    Example:
        >>> given = {"prompt": "winter", "image_urls": ["https://example.com/summer.png"]}
        >>> take_inputs(given, lambda task_id, number: None, model="demo").size
        (1024, 1024)
    """
    urls = given.get("image_urls", [])
    if len(urls) > MAX_INPUTS:
        raise BadInput(f"image_urls: {len(urls)} images, but at most {MAX_INPUTS} are allowed.")
    images = []
    size = None
    for number, url in enumerate(urls):
        name = f"image_urls[{number}]"
        content = _load(url, own, name)
        if content is None:
            content = _stand_in(url, model, 1024 if number == 0 else 512)
        content, image_size = _normalize(content, name)
        images.append(content)
        size = size or image_size
    mask = None
    if "mask_url" in given:
        content = _load(given["mask_url"], own, "mask_url")
        mask, _ = _normalize(_default_mask() if content is None else content, "mask_url")
    return Inputs(tuple(images), mask, size)


def _load(url: str, own: OwnImages, name: str) -> bytes | None:
    """Return what needs no network; None for a URL on another host."""
    url = clean_url(url)
    if url[:5].lower() == "data:":
        return _decode_data_uri(url, name)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadInput(f"{name}: invalid URL.") from error
    if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
        raise BadInput(f"{name}: the URL must start with https://, http:// or data:.")
    match = _OWN_PATH.fullmatch(parts.path)
    if match is None:
        return None
    content = own(match[1], int(match[2]))
    if content is None:
        raise BadInput(f"{name}: no such image; its task is unfinished or was deleted.")
    return content


def _decode_data_uri(url: str, name: str) -> bytes:
    try:
        return read_inline(url, max_bytes=INPUT_BYTES)
    except InlineTooLarge as error:
        raise BadInput(f"{name}: images may be at most {INPUT_BYTES // 10**6} MB.") from error
    except InlineError as error:
        raise BadInput(f"{name}: {error}.") from error


def _normalize(content: bytes, name: str) -> tuple[bytes, tuple[int, int]]:
    """Check that an image decodes; return it without extra data, and its displayed size."""
    try:
        image = decode(content, max_pixels=INPUT_PIXELS, formats=_FORMATS)
    except TooManyPixels as error:
        raise BadInput(f"{name}: {error}.") from error
    except Undecodable as error:
        raise BadInput(f"{name}: not a valid PNG, JPEG or WebP file.") from error
    width, height = displayed_size(image)
    if width * height > _MAX_STORED_PIXELS:
        image = normalized(image, ("RGB", "RGBA"), max_profile_bytes=0)
        side = round((_MAX_STORED_PIXELS * max(width, height) / min(width, height)) ** 0.5)
        image.thumbnail((side, side))
        return _encoded(image), image.size
    return essential(content, sniff(content[:12]) or "") or content, (width, height)


def _stand_in(url: str, model: str, side: int) -> bytes:
    """Draw an image for a URL; the query does not matter, since it may hold a signature."""
    parts = urlsplit(url)
    last = re.sub(r"\.\w{1,5}$", "", unquote(parts.path).rstrip("/").rpartition("/")[2])
    words = " ".join(re.findall(r"[^\W_]+", last)) or " ".join(parts.netloc.split("."))
    if not read_subject(words).scene:
        # no known subject, as in summer.png: a landscape is better to edit than a pattern
        words += " in a meadow"
    seed = zlib.crc32(f"{parts.netloc}{parts.path}".encode("utf-8", "replace"))
    return _encoded(paint(words, seed, side, side, model=model, note=False))


def _default_mask() -> bytes:
    """Stand in for a mask on another host: a soft spot in the middle of the image."""
    mask = Image.new("RGB", (512, 512))
    ImageDraw.Draw(mask).ellipse((110, 110, 402, 402), fill=(255, 255, 255))
    return _encoded(mask.filter(ImageFilter.GaussianBlur(24)))


def _encoded(image: Image.Image) -> bytes:
    """Encode as JPEG, which is fast, or as PNG if the mode is not RGB."""
    buffer = io.BytesIO()
    if image.mode == "RGB":
        image.save(buffer, "JPEG", quality=95, subsampling=0)
    else:
        image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
