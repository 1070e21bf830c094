"""Inline images: data URIs and base64, also as programs write them that keep to no standard."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_to_bytes

_BLANK = " \t\r\n\v\f\0\u00a0\u2028\u2029\u200b\ufeff"
"""What may stand around a URL that was copied from somewhere."""

_IMAGE_IN_BASE64 = re.compile(r"\s*(?:iVBORw0KGgo|[/_]9j[/_]|UklGR)")
"""How a PNG, a JPEG and a WebP begin in base64."""

_PIECE = 256 * 1024
"""How many characters are decoded at once."""

_MAX_HEAD = 4096
"""How many characters stand at most before a data URI's comma."""


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
    return b"".join(inline_pieces(text, max_bytes=max_bytes))


def inline_pieces(text: str, *, max_bytes: int) -> Iterator[bytes]:
    """Decode a data URI or bare base64 piece by piece, so that a large one is in memory but once.

    Args:
        text: As for `read_inline`.
        max_bytes: The most bytes that are decoded.

    Yields:
        Pieces of less than a megabyte.

    Raises:
        InlineTooLarge: If it has more bytes.
        InlineError: If it is damaged.

    Example:
        >>> list(inline_pieces("data:,a%20dog", max_bytes=9))
        [b'a dog']
    """
    text = text.strip(_BLANK)
    if text[:5].lower() != "data:":
        yield from _from_base64(text, 0, max_bytes)
        return
    comma = text.find(",", 0, _MAX_HEAD)
    if comma < 0:
        raise InlineError("its data URI has no data")
    parameters = [part.strip().lower() for part in unquote(text[:comma]).split(";")[1:]]
    if "base64" in parameters or _IMAGE_IN_BASE64.match(text, comma + 1):
        yield from _from_base64(text, comma + 1, max_bytes)
        return
    size = 0
    for piece in _slices(text, comma + 1):
        content = unquote_to_bytes(piece.encode("utf-8", "replace"))  # half a character is no byte
        size += len(content)
        if size > max_bytes:
            raise InlineTooLarge(f"it is larger than {max_bytes} bytes")
        yield content


def _from_base64(text: str, start: int, max_bytes: int) -> Iterator[bytes]:
    """The alphabet has no percent sign, so that one can only be an escape."""
    letters, rest, padded = 0, "", False
    for piece in _slices(text, start):
        piece = "".join((unquote(piece) if "%" in piece else piece).split())
        for blank in "\0\u200b\ufeff":
            piece = piece.replace(blank, "")
        piece = piece.replace("-", "+").replace("_", "/")
        bare = piece.rstrip("=")
        if padded and bare:
            raise InlineError("its base64 is damaged")
        padded = padded or bare != piece
        letters += len(bare)
        if letters * 3 // 4 > max_bytes:
            raise InlineTooLarge(f"it is larger than {max_bytes} bytes")
        bare = rest + bare
        whole = len(bare) - len(bare) % 4
        rest = bare[whole:]
        yield _decoded(bare[:whole])
    if rest:
        yield _decoded(rest + "=" * (-len(rest) % 4))


def _slices(text: str, start: int) -> Iterator[str]:
    """Cut a text, but no escape: unquoted as a whole, it would take 14 times its size."""
    while start < len(text):
        end = start + _PIECE
        escape = text.rfind("%", end - 2, end)
        end = escape if escape > start else end
        yield text[start:end]
        start = end


def _decoded(letters: str) -> bytes:
    try:
        return base64.b64decode(letters, validate=True)
    except ValueError as error:
        raise InlineError("its base64 is damaged") from error
