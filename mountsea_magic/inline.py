"""Inline images: data URIs and base64, also as programs write them that keep to no standard."""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote, unquote_to_bytes

_BLANK = " \t\r\n\v\f\0\u00a0\u2028\u2029\u200b\ufeff"
"""What may stand around a URL that was copied from somewhere."""

_IMAGE_IN_BASE64 = re.compile(r"\s*(?:iVBORw0KGgo|[/_]9j[/_]|UklGR)")
"""How a PNG, a JPEG and a WebP begin in base64."""


class InlineError(ValueError):
    """The text holds no bytes that can be read."""


class InlineTooLarge(InlineError):
    """The text holds more bytes than are decoded."""


def clean_url(text: str) -> str:
    r"""Return a URL without what was copied along with it: blanks around it, line breaks in it.

    Example:
        >>> clean_url(" https://example.com/\n  dog.png\n")
        'https://example.com/dog.png'
    """
    text = text.strip(_BLANK)
    if text[:5].lower() == "data:":
        return text
    return re.sub(r"[\t\r\n]+ *", "", text)


def is_base64_image(text: str) -> bool:
    """Return whether a text is the base64 of an image, with nothing around it that says so.

    Example:
        >>> is_base64_image("iVBORw0KGgoAAAANSUhEUg"), is_base64_image("a dog")
        (True, False)
    """
    return _IMAGE_IN_BASE64.match(text) is not None


def read_inline(text: str, *, max_bytes: int) -> bytes:
    r"""Decode a data URI or bare base64.

    Args:
        text: Base64 may be in the URL-safe alphabet, without padding, percent-encoded, and broken
            into lines; a data URI may have any media type and parameters.
        max_bytes: The most bytes that are decoded.

    Raises:
        InlineTooLarge: If it has more bytes.
        InlineError: If it is damaged.

    Example:
        >>> read_inline("data:;charset=utf-8;base64,-_8", max_bytes=9)
        b'\xfb\xff'
        >>> read_inline("DATA:,a%20dog", max_bytes=9)
        b'a dog'
    """
    text = text.strip(_BLANK)
    if text[:5].lower() != "data:":
        return _from_base64(text, max_bytes)
    head, comma, payload = text.partition(",")
    if not comma:
        raise InlineError("its data URI has no data")
    parameters = [part.strip().lower() for part in unquote(head).split(";")[1:]]
    if "base64" in parameters or is_base64_image(payload):
        return _from_base64(payload, max_bytes)
    content = unquote_to_bytes(payload.encode("utf-8", "replace"))  # half a character is no byte
    if len(content) > max_bytes:
        raise InlineTooLarge(f"it is larger than {max_bytes} bytes")
    return content


def _from_base64(text: str, max_bytes: int) -> bytes:
    """The alphabet has no percent sign, so that one can only be an escape."""
    if "%" in text:
        text = unquote(text)
    compact = re.sub(rf"[\s{_BLANK}]+", "", text).replace("-", "+").replace("_", "/").rstrip("=")
    if len(compact) * 3 // 4 > max_bytes:
        raise InlineTooLarge(f"it is larger than {max_bytes} bytes")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except ValueError as error:
        raise InlineError("its base64 is damaged") from error
