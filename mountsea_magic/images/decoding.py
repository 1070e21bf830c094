"""Decode complete image files, and normalize images to 8 bits, upright, with the same colors."""

from __future__ import annotations

import io
import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from ..runtime.text import sanitize
from .color_profiles import COLOR_SPACES, convert_to_srgb, exponent_of, has_transparency, profile_of
from .decoding_cost import MAX_WORK, Work, work_of
from .exif import orientation_of
from .formats import essential, sniff, split_exif
from .pillow_checks import UNREADABLE as UNREADABLE
from .pillow_checks import reject_truncated

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PROFILE_BYTES = 1_000_000
"""The largest color profile that is kept, in bytes; a larger one is applied instead."""

_MAX_METADATA_BYTES = 100_000
"""Above so many bytes, metadata is not read."""

_DNG_VERSION, _SUB_IMAGES, _SUBFILE_TYPE = 50706, 330, 254
"""The TIFF tags that identify the thumbnail of a raw photo."""

_SAMPLE_BITS, _SAMPLE_FORMAT, _INTERPRETATION = 258, 339, 262
"""The TIFF tags that define how sample values are interpreted."""

_TRANSPOSE = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""EXIF orientation to the `Image.Transpose` that makes an image upright."""

_FULL_RANGE = frozenset({"PNG", "PPM", "JPEG2000", "TIFF"})
"""The formats that define 16-bit greys to range from black to white."""


class Undecodable(ValueError):
    """The bytes are not a complete image that Pillow can read."""


class TooManyPixels(Undecodable):
    """The image exceeds the limit of pixels, work or memory."""


class RawPhoto(Undecodable):
    """The file is a TIFF-based camera raw file, of which Pillow reads only the thumbnail."""


class UndefinedRange(ValueError):
    """The sample format has no defined range, so black and white are unknown."""


def decode(
    content: bytes,
    *,
    max_pixels: int,
    formats: tuple[str, ...] | None = None,
    draft_px: int | None = None,
) -> Image:
    """Decode the first frame of a complete image file.

    Args:
        content: The file.
        max_pixels: The limit of pixels.
        formats: Pillow's names of the formats to try; all by default.
        draft_px: Allow a JPEG to be decoded at reduced size, with a longer side of at least this
            many pixels; takes a fraction of the memory and half the time.

    Raises:
        TooManyPixels: If it exceeds a limit of pixels, work or memory; it is not decoded then.
        Undecodable: If it is damaged, truncated or of another format.
    """
    kind = sniff(content[:12])
    whole = content if kind is None else essential(content, kind)
    if whole is None:
        raise Undecodable("the file is truncated")
    work, exif = work_of(whole, kind), b""
    check_work(work, max_pixels)
    if kind == "jpeg":
        # Pillow parses EXIF when opening a JPEG; damaged EXIF makes it fail or exhaust memory
        whole, exif = split_exif(whole)
    image = _loaded(whole, max_pixels, formats, draft_px)
    if exif:
        image.info["exif"] = exif
    transparent = image.info.get("transparency")
    if isinstance(transparent, tuple) and kind == "png" and whole[24] == 16:
        # Pillow reduces pixels to 8 bits, but leaves the transparent color at 16 bits
        image.info["transparency"] = tuple(level >> 8 for level in transparent)
    return image


def check_work(work: Work, max_pixels: int) -> None:
    """Raise if an image is too expensive to decode, judging by its headers.

    Args:
        work: The result of `work_of`.
        max_pixels: The limit of pixels.

    Raises:
        TooManyPixels: If it exceeds `max_pixels` or `MAX_WORK`.
    """
    size = f"{work.width}×{work.height}"
    if work.pixels > max_pixels:
        raise TooManyPixels(f"{size} exceeds the limit of {max_pixels} pixels")
    if work.amount > MAX_WORK:
        raise TooManyPixels(f"{work.scans} scans of {size} pixels are too many to decode")


def _loaded(
    content: bytes, max_pixels: int, formats: tuple[str, ...] | None, draft_px: int | None
) -> Image:
    """Open and decode; raises `Undecodable` only."""
    from PIL import Image, UnidentifiedImageError

    try:
        with reject_truncated(), Image.open(io.BytesIO(content), formats=formats) as image:
            check_work(Work(*image.size), max_pixels)
            if 0 in image.size:
                raise Undecodable("the image has no pixels")
            if draft_px is not None:
                image.draft(None, _draft_size(image.size, draft_px))
            image.load()
            tags = getattr(image, "tag_v2", {})
            if _DNG_VERSION in tags or (_SUB_IMAGES in tags and tags.get(_SUBFILE_TYPE, 0) & 1):
                raise RawPhoto("it is a camera's raw file")
            return image
    except UnidentifiedImageError as error:
        raise Undecodable("decoding failed: Pillow recognizes no image in it") from error
    except Image.DecompressionBombError as error:
        raise TooManyPixels("the image has more pixels than Pillow allows") from error
    except MemoryError as error:
        raise TooManyPixels("decoding needs more memory than is available") from error
    except Undecodable:
        raise
    except Exception as error:  # Pillow's plugins raise any exception for damaged bytes
        raise Undecodable(f"decoding failed: {sanitize(error, limit=80)}") from error


def _draft_size(size: tuple[int, int], longest_px: int) -> tuple[int, int]:
    """The least size of a draft whose longer side is long enough."""
    width, height = (max(1, math.ceil(longest_px * side / max(size))) for side in size)
    return width, height


def read_metadata(content: bytes) -> dict[Any, Any]:
    """Return Pillow's metadata of an image, such as the text chunks of a PNG.

    Args:
        content: A file that `decode` accepts.

    Returns:
        Pillow's `info`; empty if reading it fails or could take long.
    """
    from PIL import Image

    kind = sniff(content[:12])
    bare = None if kind is None else essential(content, kind)
    if bare is None or len(content) - len(bare) > _MAX_METADATA_BYTES:
        return {}
    if kind == "jpeg" and b"Exif\0" in content:
        return {}
    try:
        with reject_truncated(), Image.open(io.BytesIO(content)) as image:
            return dict(image.info)
    except UNREADABLE:
        return {}


def orientation(image: Image) -> int:
    """Return the EXIF orientation (1 to 8) as browsers read it; 1 if missing or damaged."""
    exif = image.info.get("exif")
    return orientation_of(exif) if isinstance(exif, bytes) else 1


def displayed_size(image: Image) -> tuple[int, int]:
    """Return the displayed width and height in pixels, with the EXIF orientation applied."""
    width, height = image.size
    return (height, width) if orientation(image) >= 5 else (width, height)


def upright(image: Image) -> Image:
    """Apply the EXIF orientation; returns the same image if it is already upright."""
    from PIL import Image

    transpose = _TRANSPOSE.get(orientation(image))
    if transpose is None:
        return image
    turned = image.transpose(Image.Transpose[transpose])
    for name in ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"):
        turned.info.pop(name, None)
    return turned


def normalized(
    image: Image,
    modes: Collection[str] = ("1", "L", "LA", "P", "RGB", "RGBA"),
    *,
    max_profile_bytes: int = MAX_PROFILE_BYTES,
) -> Image:
    """Return an image that looks the same: upright, in an allowed mode, without metadata.

    Args:
        image: Any image; it is not modified.
        modes: The allowed modes; others become ``RGB``, or ``RGBA`` if there is transparency.
        max_profile_bytes: A color profile that is larger, or not for the resulting mode, is
            applied; the result is in sRGB then.

    Returns:
        A new image whose `info` has at most ``icc_profile`` and ``transparency``.

    Raises:
        UndefinedRange: If the range of its sample values is undefined.
    """
    info = image.info
    image = upright(_eight_bits(image)).copy()
    profile = profile_of(info, image.mode)
    exponent = 1.0 if profile or "srgb" in info else exponent_of(info.get("gamma"))
    image.info = {name: image.info[name] for name in ("transparency",) if name in image.info}
    target = image.mode
    if target not in modes or exponent != 1:
        target = "RGBA" if has_transparency(image) else "RGB"
    same_space = COLOR_SPACES.get(target) == COLOR_SPACES.get(image.mode)
    if profile and not (same_space and len(profile) <= max_profile_bytes):
        image, profile = convert_to_srgb(image, profile), b""
    elif image.mode != target:
        image = (image.convert("LA") if image.mode == "La" else image).convert(target)
        image.info.pop("transparency", None)
    if exponent != 1:
        curve = [round(255 * (level / 255) ** exponent) for level in range(256)]
        image = image.point(curve * 3 + list(range(256)) * (target == "RGBA"))
    if profile:
        image.info["icc_profile"] = profile
    return image


def _eight_bits(image: Image) -> Image:
    """Scale greys to 8 bits; Pillow would clip them at 255, to all white."""
    tags = getattr(image, "tag_v2", {})  # TIFF only
    signed = 2 in tags.get(_SAMPLE_FORMAT, ())
    if image.mode != "F" and not image.mode.startswith("I") and not signed:
        return image
    deep = image.mode.startswith("I;16") and image.format in (None, *_FULL_RANGE)
    if signed or not (deep or (image.mode == "I" and image.format in ("PNG", "PPM"))):
        raise UndefinedRange(_describe_range(image))
    white = 2 ** int(tags.get(_SAMPLE_BITS, (16,))[0]) - 1
    levels = image.convert("I")
    curve = [min(255, level * 255 // white) for level in range(65536)]
    if tags.get(_INTERPRETATION) == 0:  # WhiteIsZero
        curve = [255 - level for level in curve]
    grey = levels.point(curve, "L")
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        alpha = [255 * (level != transparent) for level in range(65536)]
        grey.putalpha(levels.point(alpha, "L"))
    return grey


def _describe_range(image: Image) -> str:
    """Return the mode and, where Pillow can tell, the range of the sample values."""
    low, high = image.convert("I").getextrema() if image.mode[:2] == "I;" else image.getextrema()
    if isinstance(low, tuple) or isinstance(high, tuple):
        return f"of mode {image.mode} with signed values"
    return f"of mode {image.mode} (here {low:g} to {high:g})"
