"""Decoding: whole image files become images of 8 bits, upright, whose colors stay the same."""

from __future__ import annotations

import io
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from ..errors import sanitize
from .color_profiles import COLOR_SPACES, exponent_of, in_srgb, is_see_through, profile_of
from .decoding_cost import MAX_WORK, Work, work_of
from .exif import orientation_of
from .formats import essential, sniff, split_exif
from .pillow_checks import UNREADABLE as UNREADABLE
from .pillow_checks import strictly

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PROFILE_BYTES = 1_000_000

_MODEST_BYTES = 100_000
"""So many bytes of metadata are read for their own sake."""

_DNG_VERSION, _SUB_IMAGES, _KIND = 50706, 330, 254
"""A TIFF's tags by which a raw photo's thumbnail is known."""

_SAMPLE_BITS, _SAMPLE_FORMAT, _INTERPRETATION = 258, 339, 262
"""A TIFF's tags that say what its numbers mean."""

_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""How EXIF's orientations are made upright, in Pillow's words."""

_FULL_RANGE = frozenset({"PNG", "PPM", "JPEG2000", "TIFF"})
"""The formats whose greys of 16 bits go from black to white by definition."""


class Undecodable(ValueError):
    """The bytes are not a whole image that Pillow can read."""


class TooManyPixels(Undecodable):
    """The image has more pixels than are decoded."""


class RawPhoto(Undecodable):
    """The file is a camera's, of TIFF's kind, and what Pillow reads of it is its thumbnail."""


class NoBlackAndWhite(ValueError):
    """The image's numbers have no range of their own, so that any grey would be a guess."""


def decode(
    content: bytes,
    *,
    max_pixels: int,
    formats: tuple[str, ...] | None = None,
    draft_px: int | None = None,
) -> Image:
    """Decode the first frame of an image file, if it is whole.

    Args:
        content: The file.
        max_pixels: The most pixels that are decoded.
        formats: Pillow's names of the formats to try; all that it has if left out.
        draft_px: A JPEG may come smaller, if its shorter side keeps so many pixels: this takes a
            fraction of the memory, and half of the time.

    Raises:
        TooManyPixels: If it has more, or takes more work or memory; it is not decoded then.
        Undecodable: If it is damaged, or of another format.
    """
    kind = sniff(content[:12])
    whole = content if kind is None else essential(content, kind)
    if whole is None:
        raise Undecodable("its end is missing")
    work, exif = work_of(whole, kind), b""
    refuse_excess(work, max_pixels)
    if kind == "jpeg":
        # Pillow reads EXIF as it opens a JPEG: it fails for some, and others take it all memory
        whole, exif = split_exif(whole)
    image = _loaded(whole, max_pixels, formats, draft_px)
    if exif:
        image.info["exif"] = exif
    see_through = image.info.get("transparency")
    if isinstance(see_through, tuple) and kind == "png" and whole[24] == 16:
        # Pillow keeps the high byte of each color, but all 16 bits of the transparent one
        image.info["transparency"] = tuple(level >> 8 for level in see_through)
    return image


def refuse_excess(work: Work, max_pixels: int) -> None:
    """Raise if an image is too much to decode by what its headers say.

    Args:
        work: From `work_of`.
        max_pixels: The most pixels that are decoded.

    Raises:
        TooManyPixels: If it is.
    """
    size = f"{work.width}×{work.height}"
    if work.pixels > max_pixels:
        raise TooManyPixels(f"{size} is more than {max_pixels} pixels")
    if work.amount > MAX_WORK:
        raise TooManyPixels(f"{work.scans} scans of {size} pixels are too much to decode")


def _loaded(
    content: bytes, max_pixels: int, formats: tuple[str, ...] | None, draft_px: int | None
) -> Image:
    """Open and decode, and raise nothing but our own errors."""
    from PIL import Image, UnidentifiedImageError

    try:
        with strictly(), Image.open(io.BytesIO(content), formats=formats) as image:
            refuse_excess(Work(*image.size), max_pixels)
            if 0 in image.size:
                raise Undecodable("it has no pixels")
            if draft_px is not None:
                image.draft(None, (draft_px, draft_px))
            image.load()
            tags = getattr(image, "tag_v2", {})
            if _DNG_VERSION in tags or (_SUB_IMAGES in tags and tags.get(_KIND, 0) & 1):
                raise RawPhoto("it is a camera's raw file")
            return image
    except UnidentifiedImageError as error:
        raise Undecodable("it does not decode: Pillow finds no image in it") from error
    except Image.DecompressionBombError as error:
        raise TooManyPixels("it has more pixels than Pillow allows") from error
    except MemoryError as error:
        raise TooManyPixels("it takes more memory than there is") from error
    except Undecodable:
        raise
    except Exception as error:  # Pillow's plug-ins raise whatever comes of damaged bytes
        raise Undecodable(f"it does not decode: {sanitize(error, limit=80)}") from error


def modest_info(content: bytes) -> dict[Any, Any]:
    """Return what Pillow says of an image beside its pixels, such as a PNG's texts.

    Args:
        content: A file that `decode` takes.

    Returns:
        Pillow's `info`; an empty one where reading it could take long, or Pillow can't.
    """
    from PIL import Image

    kind = sniff(content[:12])
    bare = None if kind is None else essential(content, kind)
    if bare is None or len(content) - len(bare) > _MODEST_BYTES:
        return {}
    if kind == "jpeg" and b"Exif\0" in content:
        return {}
    try:
        with strictly(), Image.open(io.BytesIO(content)) as image:
            return dict(image.info)
    except UNREADABLE:
        return {}


def orientation(image: Image) -> int:
    """Return EXIF's orientation from 1 to 8, as browsers read it; 1, upright, if it is damaged."""
    exif = image.info.get("exif")
    return orientation_of(exif) if isinstance(exif, bytes) else 1


def displayed_size(image: Image) -> tuple[int, int]:
    """Return the width and height with which an image is displayed, in pixels."""
    width, height = image.size
    return (height, width) if orientation(image) >= 5 else (width, height)


def upright(image: Image) -> Image:
    """Return an image as it is displayed; the same one if it is upright already."""
    from PIL import Image

    turn = _TURNS.get(orientation(image))
    if turn is None:
        return image
    turned = image.transpose(Image.Transpose[turn])
    for name in ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"):
        turned.info.pop(name, None)
    return turned


def normalized(
    image: Image,
    modes: Collection[str] = ("1", "L", "LA", "P", "RGB", "RGBA"),
    *,
    max_profile_bytes: int = MAX_PROFILE_BYTES,
) -> Image:
    """Return an image that looks the same, upright, in one of some modes, without metadata.

    Args:
        image: Any image; it is not changed.
        modes: The modes that are kept; another becomes ``RGB``, or ``RGBA`` with transparency.
        max_profile_bytes: A color profile that is larger, or not for the resulting mode, is
            applied; the result is in sRGB then.

    Returns:
        A new image; its `info` has at most ``icc_profile`` and ``transparency``.

    Raises:
        NoBlackAndWhite: If its numbers have no range of their own.
    """
    info = image.info
    image = upright(_eight_bits(image)).copy()
    profile = profile_of(info, image.mode)
    exponent = 1.0 if profile or "srgb" in info else exponent_of(info.get("gamma"))
    image.info = {name: image.info[name] for name in ("transparency",) if name in image.info}
    target = image.mode
    if target not in modes or exponent != 1:
        target = "RGBA" if is_see_through(image) else "RGB"
    same_space = COLOR_SPACES.get(target) == COLOR_SPACES.get(image.mode)
    if profile and not (same_space and len(profile) <= max_profile_bytes):
        image, profile = in_srgb(image, profile), b""
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
    """Scale greys of more bits to 8: Pillow itself would cut them off, and all be white."""
    tags = getattr(image, "tag_v2", {})  # only a TIFF has these
    signed = 2 in tags.get(_SAMPLE_FORMAT, ())
    if image.mode != "F" and not image.mode.startswith("I") and not signed:
        return image
    deep = image.mode.startswith("I;16") and image.format in (None, *_FULL_RANGE)
    if signed or not (deep or (image.mode == "I" and image.format in ("PNG", "PPM"))):
        raise NoBlackAndWhite(_range(image))
    white = 2 ** int(tags.get(_SAMPLE_BITS, (16,))[0]) - 1
    levels = image.convert("I")
    curve = [min(255, level * 255 // white) for level in range(65536)]
    if tags.get(_INTERPRETATION) == 0:  # white is 0 in this kind of TIFF
        curve = [255 - level for level in curve]
    grey = levels.point(curve, "L")
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(levels.point([255 * (level != clear) for level in range(65536)], "L"))
    return grey


def _range(image: Image) -> str:
    """Say which numbers there are, as far as Pillow can tell."""
    low, high = image.convert("I").getextrema() if image.mode[:2] == "I;" else image.getextrema()
    if isinstance(low, tuple) or isinstance(high, tuple):
        return f"of mode {image.mode} with signed numbers"
    return f"of mode {image.mode} (here {low:g} to {high:g})"
