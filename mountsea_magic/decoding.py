"""Decoding: whole image files become images of 8 bits, upright, whose colors stay the same."""

from __future__ import annotations

import io
import struct
import threading
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .errors import plain
from .file_format import essential, sniff, without_exif

if TYPE_CHECKING:
    from PIL.Image import Image

UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, AttributeError, struct.error),
    *(EOFError, LookupError, ArithmeticError, RuntimeError, MemoryError, AssertionError),
)
"""What Pillow's plug-ins raise for damaged files; those of its oldest formats check little."""

MAX_PROFILE_BYTES = 1_000_000

_ORIENTATION = 0x0112
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

_COLOR_SPACES = {"RGB": "RGB ", "RGBA": "RGB ", "P": "RGB ", "L": "GRAY", "LA": "GRAY"}
_COLOR_SPACES |= {"PA": "RGB ", "RGBa": "RGB ", "RGBX": "RGB ", "YCbCr": "RGB ", "CMYK": "CMYK"}
"""The color space that a profile must be for, by the image's mode."""

_STRICTLY = threading.RLock()
"""Pillow's leniency is one switch for the whole process: one check at a time may turn it."""


class Undecodable(ValueError):
    """The bytes are not a whole image that Pillow can read."""


class TooManyPixels(Undecodable):
    """The image has more pixels than are decoded."""


class RawPhoto(Undecodable):
    """The file is a camera's, of TIFF's kind, and what Pillow reads of it is its thumbnail."""


class NoBlackAndWhite(ValueError):
    """The image's numbers have no range of their own, so that any grey would be a guess."""


def decode(content: bytes, *, max_pixels: int, formats: tuple[str, ...] | None = None) -> Image:
    """Decode the first frame of an image file, if it is whole.

    Args:
        content: The file.
        max_pixels: The most pixels that are decoded.
        formats: Pillow's names of the formats to try; all that it has if left out.

    Raises:
        TooManyPixels: If it has more; it is not decoded then.
        Undecodable: If it is damaged, or of another format.
    """
    kind = sniff(content[:12])
    whole = content if kind is None else essential(content, kind)
    if whole is None:
        raise Undecodable("its end is missing")
    try:
        image = _loaded(whole, max_pixels, formats)
    except Undecodable as error:
        bare = without_exif(whole) if kind == "jpeg" else None
        if bare is None or isinstance(error, TooManyPixels):
            raise
        # Pillow reads EXIF as it opens a JPEG, and fails for some that are damaged
        image = _loaded(bare, max_pixels, formats)
    see_through = image.info.get("transparency")
    if isinstance(see_through, tuple) and kind == "png" and whole[24] == 16:
        # Pillow keeps the high byte of each color, but all 16 bits of the transparent one
        image.info["transparency"] = tuple(level >> 8 for level in see_through)
    return image


def _loaded(content: bytes, max_pixels: int, formats: tuple[str, ...] | None) -> Image:
    """Open and decode, and raise nothing but our own errors."""
    from PIL import Image, UnidentifiedImageError

    try:
        with strictly(), Image.open(io.BytesIO(content), formats=formats) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise TooManyPixels(f"{width}×{height} is more than {max_pixels} pixels")
            image.load()
            tags = getattr(image, "tag_v2", {})
            if _DNG_VERSION in tags or (_SUB_IMAGES in tags and tags.get(_KIND, 0) & 1):
                raise RawPhoto("it is a camera's raw file")
            return image
    except UnidentifiedImageError as error:
        raise Undecodable("it does not decode: Pillow finds no image in it") from error
    except Image.DecompressionBombError as error:
        raise TooManyPixels("it has more pixels than Pillow allows") from error
    except UNREADABLE as error:
        if isinstance(error, Undecodable):
            raise
        raise Undecodable(f"it does not decode: {plain(error, limit=80)}") from error


@contextmanager
def strictly() -> Iterator[None]:
    """Let Pillow refuse half a file, and warn of nothing: our own limits are our own errors.

    A notebook may have set `LOAD_TRUNCATED_IMAGES` for its own images; then half a JPEG would pass.
    """
    from PIL import ImageFile

    with _STRICTLY, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def orientation(image: Image) -> int:
    """Return EXIF's orientation from 1 to 8, as browsers read it; 1, upright, if it is damaged."""
    from PIL import Image

    exif = Image.Exif()
    try:
        with strictly():
            exif.load(image.info.get("exif", b""))
            turn = exif.get(_ORIENTATION, 1)
        return int(turn) if turn in _TURNS else 1
    except UNREADABLE:
        return 1


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
    profile = _profile(info, image.mode)
    exponent = 1.0 if profile or "srgb" in info else _exponent(info.get("gamma"))
    image.info = {name: image.info[name] for name in ("transparency",) if name in image.info}
    target = image.mode
    if target not in modes or exponent != 1:
        target = "RGBA" if _is_see_through(image) else "RGB"
    same_space = _COLOR_SPACES.get(target) == _COLOR_SPACES.get(image.mode)
    if profile and not (same_space and len(profile) <= max_profile_bytes):
        image, profile = _in_srgb(image, profile), b""
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


def _is_see_through(image: Image) -> bool:
    return bool({"A", "a"} & set(image.getbands())) or "transparency" in image.info


def _profile(info: Mapping[Any, Any], mode: str) -> bytes:
    """A profile for another color space than the image's says nothing about it."""
    profile = info.get("icc_profile")
    if not isinstance(profile, bytes) or profile[36:40] != b"acsp":
        return b""
    return profile if profile[16:20].decode("latin-1") == _COLOR_SPACES.get(mode) else b""


def _exponent(gamma: Any) -> float:
    """What a PNG's gamma makes of its levels on an sRGB screen; about 1 changes nothing."""
    if not isinstance(gamma, float) or not 0.05 < gamma < 5:
        return 1.0
    exponent = 1 / (2.2 * gamma)
    return exponent if abs(exponent - 1) > 0.05 else 1.0


def _in_srgb(image: Image, profile: bytes) -> Image:
    """Apply a profile; where it is broken, or Pillow can't, the numbers stay as they are."""
    from PIL import ImageCms

    mode = {"L": "L", "LA": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
    colors = image.convert(mode)
    try:
        screen = ImageCms.createProfile("sRGB")
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        result = ImageCms.profileToProfile(colors, given, screen, outputMode="RGB")
    except (ImageCms.PyCMSError, ImportError, *UNREADABLE):
        result = None
    result = colors.convert("RGB") if result is None else result
    if _is_see_through(image):
        result.putalpha(image.convert("RGBA").getchannel("A"))
    result.info = {}
    return result
