"""The input images of an edit: from data URIs, from this demo Hub, or drawn in their place."""

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
"""The largest input image, in bytes (known of a neighbouring API: 10 MB)."""

INPUT_PIXELS = 64 * 1024 * 1024
"""The largest input image that is decoded, in pixels."""

MAX_INPUTS = 16
"""How many images one edit takes (assumed)."""

_KEPT_PIXELS = 4_000_000
"""What has more pixels is kept smaller: the editor does not work on more."""

_FORMATS = ("PNG", "JPEG", "WEBP")
_OWN_PATH = re.compile(r".*/pictures/(hub-[0-9a-f-]{36})/([0-9]{1,3})")

OwnImages = Callable[[str, int], bytes | None]
"""Gives an image of this Hub by task and number, or None where there is none."""


class BadInput(ValueError):
    """An input image that is refused, with the reason."""


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
    """Collect the images that an input names, with no network.

    Data URIs are decoded, and addresses of this Hub's images resolved. Another address can't be
    fetched: a drawing made from the words of its file name stands in for it.

    Args:
        given: The request's input; without `image_urls` there are no images.
        own: Gives an image of this Hub.
        model: The model, which drawings that stand in name in their mark.

    Raises:
        BadInput: If an image is too large, damaged, of another format, or not there.

    Example:
        >>> given = {"prompt": "winter", "image_urls": ["https://example.com/summer.png"]}
        >>> take_inputs(given, lambda task_id, number: None, model="demo").size
        (1024, 1024)
    """
    addresses = given.get("image_urls", [])
    if len(addresses) > MAX_INPUTS:
        raise BadInput(f"image_urls: {len(addresses)} images are more than {MAX_INPUTS}.")
    images = []
    size = None
    for place, address in enumerate(addresses):
        name = f"image_urls[{place}]"
        content = _fetched(address, own, name)
        if content is None:
            content = _stand_in(address, model, 1024 if place == 0 else 512)
        content, shape = _checked(content, name)
        images.append(content)
        size = size or shape
    mask = None
    if "mask_url" in given:
        fetched = _fetched(given["mask_url"], own, "mask_url")
        mask, _ = _checked(_spot() if fetched is None else fetched, "mask_url")
    return Inputs(tuple(images), mask, size)


def _fetched(address: str, own: OwnImages, name: str) -> bytes | None:
    """What can be had without a network; None for an address elsewhere."""
    address = clean_url(address)
    if address[:5].lower() == "data:":
        return _decoded(address, name)
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise BadInput(f"{name}: this is no address.") from error
    if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
        raise BadInput(f"{name}: an address must start with https://, http:// or data:.")
    found = _OWN_PATH.fullmatch(parts.path)
    if found is None:
        return None
    content = own(found[1], int(found[2]))
    if content is None:
        raise BadInput(f"{name}: the demo Hub has no such image any more, or not yet.")
    return content


def _decoded(address: str, name: str) -> bytes:
    """What is far too long is not decoded at all."""
    try:
        return read_inline(address, max_bytes=INPUT_BYTES)
    except InlineTooLarge as error:
        raise BadInput(f"{name}: an image may have at most {INPUT_BYTES // 10**6} MB.") from error
    except InlineError as error:
        raise BadInput(f"{name}: {error}.") from error


def _checked(content: bytes, name: str) -> tuple[bytes, tuple[int, int]]:
    """The whole image decodes; its essential part, smaller if need be, and its displayed size."""
    try:
        image = decode(content, max_pixels=INPUT_PIXELS, formats=_FORMATS)
    except TooManyPixels as error:
        raise BadInput(f"{name}: {error}.") from error
    except Undecodable as error:
        raise BadInput(f"{name}: it is no whole PNG, JPEG or WebP file.") from error
    width, height = displayed_size(image)
    if width * height > _KEPT_PIXELS:
        image = normalized(image, ("RGB", "RGBA"), max_profile_bytes=0)
        side = round((_KEPT_PIXELS * max(width, height) / min(width, height)) ** 0.5)
        image.thumbnail((side, side))
        return _encoded(image), image.size
    return essential(content, sniff(content[:12]) or "") or content, (width, height)


def _stand_in(address: str, model: str, side: int) -> bytes:
    """The same address always gives the same drawing, whatever its signature is."""
    parts = urlsplit(address)
    last = re.sub(r"\.\w{1,5}$", "", unquote(parts.path).rstrip("/").rpartition("/")[2])
    words = " ".join(re.findall(r"[^\W_]+", last)) or " ".join(parts.netloc.split("."))
    if not read_subject(words).scene:
        # no word tells what is on it, as in summer.png: a place is better to edit than a pattern
        words += " in a meadow"
    seed = zlib.crc32(f"{parts.netloc}{parts.path}".encode("utf-8", "replace"))
    return _encoded(paint(words, seed, side, side, model=model, note=False))


def _spot() -> bytes:
    """In place of a mask elsewhere: a soft spot, where the subject of an image often is."""
    mask = Image.new("RGB", (512, 512))
    ImageDraw.Draw(mask).ellipse((110, 110, 402, 402), fill=(255, 255, 255))
    return _encoded(mask.filter(ImageFilter.GaussianBlur(24)))


def _encoded(image: Image.Image) -> bytes:
    """JPEG, which is fast, or PNG for what JPEG can't hold."""
    buffer = io.BytesIO()
    if image.mode == "RGB":
        image.save(buffer, "JPEG", quality=95, subsampling=0)
    else:
        image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
