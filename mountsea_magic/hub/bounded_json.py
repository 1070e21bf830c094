"""Parse JSON with bounded memory: limits are checked before any objects are created.

A parsed value takes up to a hundred times the memory of its text, so the number of structural
characters (brackets, commas, colons) is limited. Only images as data URIs or base64 may be large.
They are stored apart from the rest of the text, so that an emoji next to them does not make each of
their characters four bytes wide. Where a response has no images of its own, such as in an echoed
input, they are dropped.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

from ..runtime.json_numbers import parse_integer
from ..settings import Secret

MAX_TEXT_BYTES = 4 * 1024 * 1024
"""The most text in a response besides inline images, in bytes."""

BEGINNING_BYTES = 8000
"""How much of a body that is not JSON is kept, in bytes."""

MAX_INLINE_BYTES = 192 * 1024 * 1024
"""The largest inline image as text, in bytes: 64 MiB, even if percent-encoded."""

MAX_TOKENS = 400_000
"""The most brackets, commas, colons and strings: each takes up to about 70 bytes when parsed."""

MAX_DEPTH = 200
"""The deepest nesting of values."""

_MIN_IMAGE_BYTES = 4096
"""Shorter strings are not treated as inline images."""

_INLINE = re.compile(
    rb'"(?:\s|\\[nrt])*+(?:data:(?!\s)|(?:[A-Za-z0-9+_%-]|\\?/|\\u00[0-7].|\\[rn]){64})',
    re.IGNORECASE,
)
"""The beginning of a string with a data URI or base64; some encoders escape / and +."""

_SHOWN = re.compile(rb'"[\x20\x21\x23-\x5b\x5d-\x7e]{0,120}')
"""What is kept of a string that looks like an image, but is not one of the task's."""

_WIDE = re.compile(rb"\\u(?!00[0-7])")
"""An escaped non-ASCII character: it would make all others wider."""

_IN_STRING = re.compile(rb'[^"\\]*+(?:\\[\s\S][^"\\]*+)*+')
_NOT_TOKENS = bytes(set(range(256)) - set(b"[]{},:"))
_IMAGE_NAMES = frozenset({"data", "output", "images", "image", "url", "b64", "b64_json"})
"""The member names under which a task's response contains an image."""

_TASK_ID = re.compile(rb'"task_?[iI]d"\s*:\s*(?:"([^"\\\x00-\x1f]{1,200})"|([0-9]{1,40})\b)')
_OVERLAP = 512
"""Longer than any match of `_TASK_ID`, in bytes."""


class JsonBody:
    """Parses a JSON body incrementally.

    Attributes:
        problem: Why parsing stopped, or an empty string.
        value: The parsed value after `finish`; None if the body is not JSON.
        is_json: Whether the body is JSON, after `finish`.
        text_bytes: The bytes of text so far.
        inline_bytes: The bytes of inline images so far.

    Args:
        max_inline_bytes: The most bytes of inline images, as text.
        key: The API key: a string that contains it is not treated as an image.

    Example:
        >>> body = JsonBody()
        >>> body.feed(b'{"task_id": "hub-1"}')
        >>> body.finish()
        >>> body.value
        {'task_id': 'hub-1'}
    """

    def __init__(self, *, max_inline_bytes: int = 0, key: Secret | None = None) -> None:
        self.problem = ""
        self.value: Any = None
        self.is_json = False
        self.inline_bytes = 0
        self._max_inline_bytes = max_inline_bytes
        self._key = key
        self._text, self._tokens = bytearray(), bytearray()
        self._string: bytearray | None = None
        self._is_inline: bool | None = None
        self._is_image_name, self._counted = False, 0
        self._escape = b""
        # the member name of the next value, the last short string, and the enclosing containers
        self._name, self._last_string = b"", b""
        self._containers: list[tuple[int, bytes]] = []
        self._mark = f"data:,{secrets.token_hex(16)}"
        self._images: list[bytearray] = []
        self._inline: dict[str, str] = {}
        self._last, self._task_ids = b"", set[str]()

    @property
    def text_bytes(self) -> int:
        """The bytes of text so far."""
        is_text = self._string is not None and not self._is_inline
        return len(self._text) + (len(self._string) if self._string and is_text else 0)

    @property
    def beginning(self) -> str:
        """The first `BEGINNING_BYTES` of the text."""
        return bytes(self._text[:BEGINNING_BYTES]).decode("utf-8", "replace")

    @property
    def task_id(self) -> str | None:
        """The only task id in a body that was not parsed, or None."""
        return next(iter(self._task_ids)) if len(self._task_ids) == 1 else None

    def feed(self, piece: bytes) -> None:
        """Add the next bytes; after a limit is exceeded, they are only searched for a task id."""
        if not self.problem:
            self._scan(self._escape + piece)
            self._check()
            if self.problem:
                self.give_up(self.problem)
        if self.problem:
            self._search(self._last + piece)
        self._last = (self._last + piece)[-_OVERLAP:]

    def give_up(self, problem: str) -> None:
        """Stop parsing; keep only the task id.

        Args:
            problem: The reason.
        """
        self.problem = problem
        self._search(bytes(self._text))
        self._images.clear()
        self._string = None

    def finish(self) -> None:
        """Parse the text; takes up to about 0.2 s, and the same for each large image."""
        if self._string is not None:
            self._text += self._string  # an unterminated string
        depth = deepest = 0
        for token in self._tokens.translate(None, b'",:'):
            depth += (token in b"[{") - (token in b"]}")
            deepest = max(deepest, depth)
        if deepest > MAX_DEPTH:
            self.give_up(f"its JSON is nested more than {MAX_DEPTH} levels deep")
        if self.problem:
            return
        try:
            self.value = json.loads(bytes(self._text), parse_int=parse_integer)
            for number, image in enumerate(self._images):
                self._inline[f"{self._mark}-{number}"] = _unquoted(image)
                image.clear()
            self.is_json = True
        except (ValueError, RecursionError):
            self.value = None
        self._images.clear()

    def with_images(self, value: Any, name: str = "") -> Any:
        """Put the inline images back into a value, under the names that images can have.

        Args:
            value: The parsed value, or a redacted copy of it.
            name: Its member name.
        """
        if not self._inline:
            return value
        if isinstance(value, str) and name in _IMAGE_NAMES:
            return self._inline.get(value, value)
        if isinstance(value, list):
            return [self.with_images(item, name) for item in value]
        if isinstance(value, dict):
            return {key: self.with_images(item, key) for key, item in value.items()}
        return value

    def _scan(self, piece: bytes) -> None:
        """Separate the strings from the text between them."""
        at, self._escape = 0, b""
        while at < len(piece):
            quote = piece.find(b'"', at)
            end = quote if quote >= 0 else len(piece)
            if self._string is None:
                between = piece[at:end]
                self._text += between
                tokens = between.translate(None, _NOT_TOKENS)
                self._tokens += tokens
                self._track(tokens)
                if quote >= 0:
                    self._string = bytearray(b'"')
                    self._tokens += b'"'
                at = end + 1
                continue
            if piece.find(b"\\", at, end) >= 0:
                match = _IN_STRING.match(piece, at)
                end = match.end() if match is not None else at
            self._string += piece[at:end]
            if piece[end : end + 1] == b'"':
                self._close(self._string)
            elif end < len(piece):
                self._escape = piece[end:]  # a backslash whose character is in the next piece
            at = end + 1

    def _track(self, tokens: bytes) -> None:
        """Track the member name of the next value; items of a list have the list's."""
        for token in tokens:
            if token == 0x3A:  # a colon
                self._name = self._last_string
            elif token in b"[{":
                if len(self._containers) <= MAX_DEPTH:
                    self._containers.append((token, self._name))
                self._name = self._name if token == 0x5B else b""
            elif token in b"]}" and self._containers:
                self._name = self._containers.pop()[1]
            elif token == 0x2C and self._containers:
                kind, name = self._containers[-1]
                self._name = name if kind == 0x5B else b""

    def _close(self, string: bytearray) -> None:
        """Add a complete string to the text or the images, or keep only its beginning."""
        string += b'"'
        inline = self._check_inline(string)
        self._last_string = bytes(string[1:-1]) if len(string) < 40 else b""
        self._string, self._is_inline = None, None
        if inline and not self._is_image_name:
            shown = _SHOWN.match(string)
            self._text += (shown[0] if shown else b'"') + '…"'.encode()
        elif inline and self._can_skip_redaction(string):
            self._text += f'"{self._mark}-{len(self._images)}"'.encode()
            self._images.append(string)
        else:
            self.inline_bytes -= len(string) if inline else 0
            self._text += string

    def _check_inline(self, string: bytearray) -> bool:
        """Whether a string begins like an inline image; counts its bytes."""
        if len(string) <= _MIN_IMAGE_BYTES or self._max_inline_bytes == 0:
            return False
        if self._is_inline is None:
            self._is_inline = _INLINE.match(string[:_MIN_IMAGE_BYTES]) is not None
            self._is_image_name = self._name.decode("utf-8", "replace") in _IMAGE_NAMES
            self._counted = 0
        if self._is_inline:
            self.inline_bytes += len(string) - self._counted
            if not self._is_image_name:
                del string[_MIN_IMAGE_BYTES:]
            self._counted = len(string)
        return self._is_inline

    def _can_skip_redaction(self, string: bytearray) -> bool:
        """Whether a string is ASCII and does not contain the key."""
        if not string.isascii() or (self._key and self._key.reveal().encode() in string):
            return False
        return b"\\u" not in string or _WIDE.search(string) is None

    def _check(self) -> None:
        """Check the limits."""
        longest = 0
        if self._string is not None and self._check_inline(self._string):
            longest = len(self._string)
        if (
            self.text_bytes > MAX_TEXT_BYTES
            or self.inline_bytes > self._max_inline_bytes
            or longest > MAX_INLINE_BYTES
        ):
            self.problem = "it is too large"
        elif len(self._tokens) > MAX_TOKENS:
            self.problem = "its JSON holds too many values"

    def _search(self, text: bytes) -> None:
        """Search for task ids: the task may be charged."""
        for match in _TASK_ID.finditer(text):
            self._task_ids.add((match[1] or match[2]).decode("utf-8", "replace"))
            if len(self._task_ids) > 1:
                return


def _unquoted(string: bytearray) -> str:
    """Decode a JSON string; without escapes this makes no extra copy."""
    if b"\\" in string:
        whole: str = json.loads(string)
        return whole
    with memoryview(string) as view:
        return str(view[1:-1], "ascii")
