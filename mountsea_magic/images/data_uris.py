"""Decode inline images: data URIs and bare base64, including non-standard spellings."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_to_bytes

_WHITESPACE = " \t\r\n\v\f\0\u00a0\u2028\u2029\u200b\ufeff"
"""Characters stripped around a pasted URL."""

_IMAGE_IN_BASE64 = re.compile(r"\s*(?:iVBORw0KGgo|[/_]9j[/_]|UklGR)")
"""How PNG, JPEG and WebP files start in base64."""

_CHUNK = 256 * 1024
"""How many characters are decoded at a time."""

_MAX_HEADER = 4096
"""The longest header before a data URI's comma, in characters."""


class InlineError(ValueError):
    """The text can't be decoded."""


class InlineTooLarge(InlineError):
    """The decoded data would exceed the limit."""


def clean_url(text: str) -> str:
    r"""Return a pasted URL without surrounding whitespace and line breaks.

    Example:
        >>> clean_url(" https://example.com/\n  dog.png\n")
        'https://example.com/dog.png'
    """
    text = text.strip(_WHITESPACE)
    if text[:5].lower() == "data:":
        return text
    return re.sub(r"[\t\r\n]+ *", "", text)


def is_base64_image(text: str) -> bool:
    """Return whether a text is an image in bare base64, without a data URI header.

    Example:
        >>> is_base64_image("iVBORw0KGgoAAAANSUhEUg"), is_base64_image("a dog")
        (True, False)
    """
    return _IMAGE_IN_BASE64.match(text) is not None


def read_inline(text: str, *, max_bytes: int) -> bytes:
    r"""Decode a data URI or bare base64.

    Args:
        text: Base64 may use the URL-safe alphabet, lack padding, be percent-encoded and contain
            line breaks; a data URI may have any media type and parameters.
        max_bytes: The limit for the decoded data, in bytes.

    Raises:
        InlineTooLarge: If the data exceeds `max_bytes`.
        InlineError: If the data is invalid.

    Example:
        >>> read_inline("data:;charset=utf-8;base64,-_8", max_bytes=9)
        b'\xfb\xff'
        >>> read_inline("DATA:,a%20dog", max_bytes=9)
        b'a dog'
    """
    return b"".join(inline_pieces(text, max_bytes=max_bytes))


def inline_pieces(text: str, *, max_bytes: int) -> Iterator[bytes]:
    """Decode a data URI or bare base64 in chunks, to avoid a second copy in memory.

    Args:
        text: As for `read_inline`.
        max_bytes: The limit for the decoded data, in bytes.

    Yields:
        Chunks of less than a megabyte.

    Raises:
        InlineTooLarge: If the data exceeds `max_bytes`.
        InlineError: If the data is invalid.

    Example:
        >>> list(inline_pieces("data:,a%20dog", max_bytes=9))
        [b'a dog']
    """
    text = text.strip(_WHITESPACE)
    if text[:5].lower() != "data:":
        yield from _from_base64(text, 0, max_bytes)
        return
    comma = text.find(",", 0, _MAX_HEADER)
    if comma < 0:
        raise InlineError("the data URI contains no data")
    parameters = [part.strip().lower() for part in unquote(text[:comma]).split(";")[1:]]
    if "base64" in parameters or _IMAGE_IN_BASE64.match(text, comma + 1):
        yield from _from_base64(text, comma + 1, max_bytes)
        return
    size = 0
    for chunk in _slices(text, comma + 1):
        # "replace", since a lone surrogate has no UTF-8 bytes
        content = unquote_to_bytes(chunk.encode("utf-8", "replace"))
        size += len(content)
        if size > max_bytes:
            raise InlineTooLarge(f"it is larger than {max_bytes} bytes")
        yield content


def _from_base64(text: str, start: int, max_bytes: int) -> Iterator[bytes]:
    """Base64 has no percent sign, so every one starts an escape."""
    length, remainder, padded = 0, "", False
    for chunk in _slices(text, start):
        chunk = "".join((unquote(chunk) if "%" in chunk else chunk).split())
        for invisible in "\0\u200b\ufeff":
            chunk = chunk.replace(invisible, "")
        chunk = chunk.replace("-", "+").replace("_", "/")
        unpadded = chunk.rstrip("=")
        if padded and unpadded:
            raise InlineError("the base64 data is invalid")
        padded = padded or unpadded != chunk
        length += len(unpadded)
        if length * 3 // 4 > max_bytes:
            raise InlineTooLarge(f"it is larger than {max_bytes} bytes")
        unpadded = remainder + unpadded
        whole = len(unpadded) - len(unpadded) % 4
        remainder = unpadded[whole:]
        yield _decoded(unpadded[:whole])
    if remainder:
        yield _decoded(remainder + "=" * (-len(remainder) % 4))


def _slices(text: str, start: int) -> Iterator[str]:
    """Split a text, but not within an escape: `unquote` takes 14 times the text's size."""
    while start < len(text):
        end = start + _CHUNK
        escape = text.rfind("%", end - 2, end)
        end = escape if escape > start else end
        yield text[start:end]
        start = end


def _decoded(letters: str) -> bytes:
    try:
        return base64.b64decode(letters, validate=True)
    except ValueError as error:
        raise InlineError("the base64 data is invalid") from error
